#!/usr/bin/env python3
"""Train semantic matting: classifier, discriminator and network. Not needed to use the package.

    tools/train_matting.py classifier FOLDER
    tools/train_matting.py discriminator FOLDER
    tools/train_matting.py network FOLDER --stage basic|semantic|discriminator|gradient
    tools/train_matting.py ablation FOLDER     the two above, then the four stages, each with as many steps

Each goes on where it was broken off. Results are in FOLDER/classifier, FOLDER/discriminator and FOLDER/STAGE-SEED, each
with last.pt, best.pt and log.jsonl. With `--write`, the weights of best.pt go into FOLDER/NAME.safetensors instead.

`--data` is `made` (learning.mattes, which needs no files), or simd:PATH, composition:PATH, distinctions:PATH or
plain:PATH (with train/ and test/), in the layouts of learning.composition, with a folder of photographs for
`--backgrounds` and another one for `--held-out`. Sets without classes take `--classes TABLE`, a CSV file with the
columns name and class; without one they can train the stage basic alone. `--config full` is the network of Sun, Tang
and Tai (2021) with crops of 320, for an accelerator; `small` is for a CPU, with at most 6 M parameters.
"""
import argparse
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from sss_nb.learning.composition import (
    Foreground,
    Photographs,
    composition1k_foregrounds,
    distinctions646_foregrounds,
    plain_foregrounds,
    simd_foregrounds,
)
from sss_nb.learning.engine import load_checkpoint, read_log, run_training
from sss_nb.learning.mattes import MadeMattes
from sss_nb.matting.semantic.classes import MATTING_CLASSES
from sss_nb.matting.semantic.discriminator import MatteDiscriminator, discriminator_terms
from sss_nb.matting.semantic.network import SemanticMattingNet, start_body
from sss_nb.matting.semantic.training import (
    STAGES,
    ClassifierTask,
    CropSettings,
    DiscriminatorTask,
    Guide,
    MattingSettings,
    MattingTask,
)
from sss_nb.matting.semantic.trimap import MattingClassifier
from sss_nb.networks.core import load_weights, save_weights
from sss_nb.pictures.registry import data_dir

CONFIGS = dict(   # what differs between the two
    small=dict(body='lite', classifier=dict(body='lite'), discriminator=dict(width=16, layers=(2, 2, 2, 2)),
               crops=dict(steps=1500, batch=4, crop=192, sizes=(192, 288, 384), band=(1., 10.))),
    full=dict(body='resnet50', classifier={}, discriminator={},
              crops=dict(steps=100_000, batch=16, crop=320, sizes=(320, 480, 640), band=(1., 30.))))
READERS = dict(simd=simd_foregrounds, composition=composition1k_foregrounds, distinctions=distinctions646_foregrounds)

class Made:
    "Foregrounds of `MadeMattes`, each made once, and kept as bytes."
    def __init__(self, mattes):
        self.mattes, self.kept = mattes, {}
        self.kinds = [mattes.names[i % len(mattes.names)] for i in range(len(mattes))]
        self.names = [f'{mattes.split} {mattes.seed} {kind} {i}' for i, kind in enumerate(self.kinds)]

    def __len__(self): return len(self.mattes)

    def parts(self, i):
        if i not in self.kept:
            s = self.mattes[i]
            self.kept[i] = [np.round(255*a).astype(np.uint8) for a in (s.foreground, s.alpha, s.background)]
        return [a.astype(np.float32)/255 for a in self.kept[i]]

    def __getitem__(self, i):
        color, alpha, _ = self.parts(i)
        return Foreground(self.names[i], color, alpha, self.kinds[i])

class Behind:
    "The backgrounds of `Made`."
    def __init__(self, made): self.made = made
    def __len__(self): return len(self.made)
    def __getitem__(self, i): return self.made.parts(i)[2]

def foregrounds(args, parser):
    "Foregrounds and backgrounds of training and validation."
    kind, _, path = args.data.partition(':')
    if kind == 'made':
        train, held = Made(MadeMattes('train', args.mattes, seed=0)), Made(MadeMattes('val', max(17, args.mattes//10)))
        return train, Behind(train), held, Behind(held)
    if not args.backgrounds or not args.held_out: parser.error('expected --backgrounds DIR and --held-out DIR')
    options = dict(known=MATTING_CLASSES) | (dict(classes=args.classes) if args.classes else {})
    if kind == 'plain': sets = [plain_foregrounds(Path(path)/part, **options) for part in ('train', 'test')]
    elif kind in READERS: sets = [READERS[kind](path, part, **options) for part in ('train', 'test')]
    else: parser.error(f'expected made, simd:PATH, composition:PATH, distinctions:PATH or plain:PATH, got {args.data}')
    return sets[0].balanced(), Photographs(args.backgrounds), sets[1], Photographs(args.held_out)

def started(net, name):
    "The network with the body that ships, where it has one of the kind."
    if name == 'network' and net.settings['body'] == 'lite':
        return start_body(net, load_weights(data_dir()/'weights/small.safetensors'))
    if getattr(net, 'lite', False):
        net.body.load_state_dict(load_weights(data_dir()/'weights/small.safetensors').body.state_dict())
    return net

def trained(net, folder, parser):
    "The best weights of a training before this one."
    if not (folder/'best.pt').is_file(): parser.error(f'expected {folder}/best.pt: train the {folder.name} first')
    load_checkpoint(folder/'best.pt', net)
    return net.eval().requires_grad_(False)

def write(net, folder):
    "The best weights into a file, with what they were trained on."
    step = load_checkpoint(folder/'best.pt', net)
    found = [e for e in read_log(folder) if e['step'] == step and any(k.startswith('validation') for k in e)][-1]
    path = save_weights(net, folder.with_suffix('.safetensors'), **found)
    print(f'{path}: {path.stat().st_size/1e6:.2f} MB, {found}')

def told(folder):
    "The last validation, in a table."
    rows = [e for e in read_log(folder) if any(k.startswith('validation') for k in e)]
    if not rows: return
    print(f'{folder.name}, step {rows[-1]["step"]}: ' + ', '.join(
        f'{k.removeprefix("validation_")} {v:.4g}' for k, v in rows[-1].items() if k.startswith('validation')))
    for kind, e in rows[-1].get('classes', {}).items():
        print(f'  {kind:14}' + ''.join(f'{name} {value:10.4g}  ' for name, value in e.items()))

def run(name, stage, args, data, parser):
    "One training, or the weights of one."
    config, root = CONFIGS[args.config], args.folder
    changes = {k: v for k, v in dict(steps=args.steps, batch=args.batch, crop=args.crop, seed=args.seed).items()
               if v is not None}
    crops = CropSettings(**config['crops'] | changes)
    if args.crop: crops = replace(crops, sizes=(args.crop, 3*args.crop//2, 2*args.crop))
    torch.manual_seed(args.seed)
    train, behind, held, held_behind = data
    if name != 'network':
        kinds = dict(classifier=(MattingClassifier, ClassifierTask),
                     discriminator=(MatteDiscriminator, DiscriminatorTask))
        net, task = kinds[name][0](**config[name]), kinds[name][1](train, behind, crops, held, held_behind)
        folder = root/name
    else:
        net = SemanticMattingNet(config['body'], semantic=STAGES[stage].semantic)
        guide = judge = None
        if STAGES[stage].semantic:
            guide = Guide(trained(MattingClassifier(**config['classifier']), root/'classifier', parser).to(args.device))
        if stage in ('discriminator', 'gradient'):
            net_d = trained(MatteDiscriminator(**config['discriminator']), root/'discriminator', parser)
            judge = partial(discriminator_terms, net_d.to(args.device))
        settings = MattingSettings(**crops.__dict__, stage=stage)
        task = MattingTask(train, behind, settings, held, held_behind, guide=guide, judge=judge)
        folder = root/f'{stage}-{args.seed}'
    if args.write: return write(net, folder)
    every = max(1, crops.steps//10)
    run_training(task, started(net, name), folder, device=args.device, workers=args.workers, validate_every=every,
                 checkpoint_every=max(1, every//3))
    told(folder)

def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('what', choices=('classifier', 'discriminator', 'network', 'ablation'))
    parser.add_argument('folder', type=Path)
    parser.add_argument('--data', default='made')
    for name in ('--backgrounds', '--held-out', '--classes'): parser.add_argument(name, type=Path)
    parser.add_argument('--config', choices=CONFIGS, default='small')
    parser.add_argument('--stage', choices=STAGES, default='gradient')
    for name in ('--steps', '--batch', '--crop'): parser.add_argument(name, type=int)
    parser.add_argument('--mattes', type=int, default=680, help='how many are made to train on')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--write', action='store_true')
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--workers', type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    data = foregrounds(args, parser)
    if args.what != 'ablation': return run(args.what, args.stage, args, data, parser)
    for name in ('classifier', 'discriminator'): run(name, None, args, data, parser)
    for stage in STAGES: run('network', stage, args, data, parser)

if __name__ == '__main__': main()
