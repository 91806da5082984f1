"""OneFormer, which takes its task as a text and so brings a tokenizer: offline, of random weights, in a folder."""
import json

import numpy as np
import pytest

transformers = pytest.importorskip('transformers')
NAMES = dict(enumerate(('sky', 'tree', 'person', 'cup')))

def save(folder):
    "The smallest OneFormer, with the files of a real one."
    import torch
    torch.manual_seed(0)
    swin = transformers.SwinConfig(image_size=32, patch_size=4, embed_dim=8, depths=[1]*4, num_heads=[1]*4,
                                   window_size=4, out_features=['stage1', 'stage2', 'stage3', 'stage4'])
    config = transformers.OneFormerConfig(
        backbone_config=swin, hidden_dim=32, mask_dim=32, conv_dim=32, encoder_feedforward_dim=32, dim_feedforward=32,
        encoder_layers=1, decoder_layers=2, num_attention_heads=2, num_queries=8, text_encoder_width=32,
        text_encoder_num_layers=1, text_encoder_vocab_size=600, text_encoder_context_length=16, task_seq_len=16,
        max_seq_len=16, text_encoder_n_ctx=4, query_dec_layers=1, id2label=NAMES,
        label2id={v: k for k, v in NAMES.items()})
    transformers.OneFormerForUniversalSegmentation(config).save_pretrained(folder)
    letters = [chr(c) for c in range(33, 127)]
    words = [*letters, *(c + '</w>' for c in letters), '<|startoftext|>', '<|endoftext|>']
    transformers.CLIPTokenizer(vocab={w: k for k, w in enumerate(words)}, merges=[]).save_pretrained(folder)
    classes = {str(k): dict(name=v, isthing=int(k > 1)) for k, v in NAMES.items()}
    image = dict(image_processor_type='OneFormerImageProcessor', processor_class='OneFormerProcessor', num_text=4,
                 size=dict(height=64, width=64), repo_path=str(folder), class_info_file='info.json')
    both = dict(processor_class='OneFormerProcessor', max_seq_length=16, task_seq_length=16)
    for name, about in {'info': classes, 'preprocessor_config': image, 'processor_config': both}.items():
        (folder/f'{name}.json').write_text(json.dumps(about))

def test_nothing_found_is_one_layer_of_void():
    from sss_nb.matting.hard import HardSegments
    assert np.array_equal(HardSegments(np.full((4, 5), -1), (), ()).alphas, np.ones((4, 5, 1)))

def test_networks_that_were_replaced_are_read(tmp_path):
    "Other classes in the same folder."
    import torch

    from sss_nb.matting.hard import panoptic_segments
    torch.manual_seed(0)
    swin = transformers.SwinConfig(image_size=32, patch_size=4, embed_dim=8, depths=[1]*4, num_heads=[1]*4,
                                   window_size=4, out_features=['stage1', 'stage2', 'stage3', 'stage4'])
    net = transformers.Mask2FormerForUniversalSegmentation(transformers.Mask2FormerConfig(
        backbone_config=swin, hidden_dim=32, mask_feature_size=32, feature_size=32, encoder_feedforward_dim=32,
        dim_feedforward=32, encoder_layers=1, decoder_layers=2, num_attention_heads=2, num_queries=8, id2label=NAMES))
    with torch.no_grad():
        for name, p in net.named_parameters(): p *= 100 if 'class_' in name else 1      # sure of its classes
    about = dict(image_processor_type='Mask2FormerImageProcessor', size=dict(height=64, width=64))
    (tmp_path/'preprocessor_config.json').write_text(json.dumps(about))
    for names in (NAMES, {k: f'other {v}' for k, v in NAMES.items()}):
        net.config.id2label = names
        net.save_pretrained(tmp_path)
        found = panoptic_segments(np.random.default_rng(0).random((48, 64, 3)), str(tmp_path), threshold=0)
        assert found.names and set(found.names) <= set(names.values())

def test_oneformer_answers_or_names_what_it_needs(tmp_path, monkeypatch):
    "transformers 5 reads its answers with torchvision; without it the error says so."
    monkeypatch.setenv('HF_HUB_OFFLINE', '1')
    from sss_nb.matting.hard import panoptic_segments
    save(tmp_path)
    image = np.random.default_rng(0).random((48, 64, 3))
    try: found = panoptic_segments(image, str(tmp_path), kind='instance', threshold=0)
    except ImportError as error: assert 'install it: pip install torchvision' in str(error)
    else: assert found.labels.shape == (48, 64) and set(found.names) <= set(NAMES.values())
