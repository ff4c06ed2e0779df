"""What students type: words of PyTorch, Keras and papers, lines of code, and sentences for what cannot be."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.convnets import LayerError, account, read, total, write
from core.convnets.reading import MAX_LAYERS
from core.convnets.vocabulary import SAME, WORDS
from core.knobs import MOST_SAID

TYPED = [
    ("  CONV 6 5×5 pad 2 ;pool 2,", "conv 6 5x5 pad 2, pool 2"),
    ("Conv2D 6 5 x 5 padding=same, MaxPooling2D 2", "conv 6 5x5 same, pool 2"),
    ("conv 6 5*5 p=2 -> max pool 2 → dense 10", "conv 6 5x5 pad 2, pool 2, fc 10"),
    ("conv 6 5x5 relu, ReLU, dropout 0.5, flatten, linear 10, softmax", "conv 6 5x5, fc 10"),
    ("conv 6 kernel_size=5 strides=2, batch norm, bn, BatchNormalization", "conv 6 5x5 stride 2, 3 × ( norm )"),
    ("3x3 conv 64, 1x7 conv 8 bias=False", "conv 64 3x3, conv 8 1x7 no bias"),
    ("[3×3 conv 64, 3×3 conv 64] × 3", "6 × ( conv 64 3x3 )"),
    ("2 * conv 8 3, 3x( fc 9, fc 8 )", "2 × ( conv 8 3x3 ), 3 × ( fc 9, fc 8 )"),
    ("depthwise conv 3x3, dw 3, DepthwiseConv2D 3", "3 × ( depthwise 3x3 )"),
    ("global average pooling, GAP, AdaptiveAvgPool2d 7x7", "2 × ( average ), average 7x7"),
    ("squeeze-and-excitation 8, layer norm, avg pool 2", "se 8, layernorm, avgpool 2"),
    ("transposed conv 8 2x2 s 2, ConvTranspose2d 8 2x2 s 2", "2 × ( transposed 8 2x2 stride 2 )"),
    ("fully connected 10  # the classifier, nn.Linear 10", "fc 10"),
    ("nn.Conv2d 8 3x3, layers.Dense 10", "conv 8 3x3, fc 10"),
    ("nn.Conv2d(3, 16, 5, padding=2, bias=False)\nnn.ReLU()", "conv 16 5x5 pad 2 no bias"),
    ("nn.MaxPool2d(2, 2)", "pool 2 stride 2"),
    ("self.conv1 = nn.Conv2d(3, 6, kernel_size=(1, 7), padding=(0, 3))", "conv 6 1x7 pad 0x3"),
    ("nn.Sequential(nn.Flatten(), nn.Linear(64, 10))", "fc 10"),
    ("model.add(layers.Conv2D(32, (3, 3), activation='relu', padding='same'))", "conv 32 3x3 same"),
    ("model.add(layers.MaxPooling2D())", "pool 2"),
    ("layers.Dense(10, activation='softmax')", "fc 10"),
]  # fmt: skip


@pytest.mark.parametrize(("typed", "canonical"), TYPED, ids=[typed[:30] for typed, _ in TYPED])
def test_words_of_pytorch_keras_and_papers_are_taken(typed, canonical):
    assert write(read(typed)) == canonical
    assert read(canonical) == read(typed)


def test_every_word_and_every_other_name_reads_as_its_example():
    for word, known in WORDS.items():
        assert read(known.example) == read(write(read(known.example))), word
    for spelled, word in SAME.items():
        example = WORDS[word].example.split()
        assert read(" ".join([spelled, *example[1:]])) == read(" ".join(example)), spelled


def test_a_repetition_has_weights_of_its_own_each_time():
    once, thrice = (account(read(text), 8, 9) for text in ("conv 8 3 pad 1", "3 × ( conv 8 3 pad 1 )"))
    assert total(thrice, "parameters") == 3 * total(once, "parameters")


WRONG = [
    ("convolusion 3", "convolusion is no layer here; did you mean conv?"),
    ("xyz 3", "xyz is no layer here; write conv, pool, "),
    ("conv 6", "conv 6 lacks its size; write it like conv 16 5x5 stride 2 pad 2"),
    ("conv six 5x5", "its filters, “six”, is not a whole number"),
    ("conv 6 5x5x5", "is not a number or two, such as 5, 5x5 or 1x7"),
    ("conv 6 ²", "is not a number or two"),
    ("fc 70000", "fc 70000: units = 70000 is outside 1 … 65536; write it like fc 120"),
    ("conv 6 5 stride 0", "stride = 0 is outside 1 … 65536"),
    ("conv 6 5 stride", "lacks its stride"),
    ("conv 6 5 pad 1 pad 2", "says pad twice; say it once"),
    ("fc 10 no bias no bias", "says no bias twice; say it once"),
    ("fc 10 floor", "fc 10 floor: “floor” is no part of fc; write it like fc 120"),
    ("conv 6 5 ceil", "“ceil” is no part of conv"),
    ("input 3x32x32", "the size and channels of the image are set beside the network"),
    ("prelu", "its slopes are trained"),
    ("multi-head attention 8", "no word for the product of two computed maps"),
    ("nn.Conv2d(3, width, 5)", "width is a name whose value is not known here; write a number for filters"),
    ("", "a network needs a layer"),
    ("relu, dropout", "a network needs a layer"),
    ("conv 6 5 | fc 10", "“|” stands outside of brackets"),
    ("(conv 6 1", "is opened and never closed"),
    ("(fc 1 | fc 2 + fc 3)", "by one of them"),
    ("9999 × ( fc 1 )", f"repetitions are outside 1 … {MAX_LAYERS:,}"),
    ("900 × ( 900 × ( 900 × ( fc 1 ) ) )", f"more than {MAX_LAYERS:,} layers"),
    ("(" * 600 + "fc 1", "more than 6 deep"),
]


@pytest.mark.parametrize(("text", "sentence"), WRONG, ids=[text[:20] for text, _ in WRONG])
def test_a_text_that_cannot_be_read_says_why_and_what_to_write(text, sentence):
    with pytest.raises(LayerError) as caught:
        read(text)
    assert sentence in str(caught.value)


SCRAPS = [
    *WORDS,
    "stride",
    "pad",
    "groups",
    "dilation",
    "no bias",
    "floor",
    "same",
    "ceil",
    "3x3",
    "1x7",
    "2",
    "7",
    "0",
]
SCRAPS += [
    "(",
    ")",
    "|",
    "+",
    "*",
    "3 ×",
    ",",
    "\n",
    "x",
    "-1",
    "é",
    "²",
    "9" * 30,
    "relu",
    "nn.Conv2d(3, 4, 5)",
    "Conv2d(",
]


@settings(max_examples=200)
@given(st.lists(st.sampled_from(SCRAPS), max_size=25), st.integers(1, 30))
def test_whatever_is_typed_is_counted_or_refused_in_a_sentence(words, side):
    try:
        chain = read(" ".join(words))
        rows = account(chain, 3, side)
    except LayerError as error:
        assert 10 < len(str(error)) <= MOST_SAID
        assert not str(error).endswith(".")
    else:
        assert total(rows, "activations") >= 3 * side**2
        assert read(write(chain)) == chain
