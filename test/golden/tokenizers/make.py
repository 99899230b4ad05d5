"""Makes the golden files of the tokenizer test with the Python package `tokenizers` (written with 0.23.3):

    python3 make.py        (in this folder)

lines.bin        the corpus: for each line its length in bytes (little-endian uint16) and the bytes, which need not be UTF-8
NAME.json        a byte-level BPE trained on the corpus with the pre-tokenizer of GPT-2, SmolLM2, Llama 3 or Qwen2
NAME.ids         for each line the number of ids and the ids (little-endian uint16) of the line, special tokens added;
                 broken UTF-8 counts as U+FFFD (errors="replace"); no ids at all where a normalizer would change the line
"""
import json
import random
import struct
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

here = Path(__file__).parent
contractions = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
rest = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
llama3_pattern = contractions + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|" + rest
qwen2_pattern = contractions + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|" + rest


def after_split(pattern):
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), "isolated"),
                                    pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


recipes = {  # name: (pre-tokenizer, first special token, frame around a text, ignore_merges, normalizer)
    "gpt2": (pre_tokenizers.ByteLevel(add_prefix_space=False), "<|endoftext|>", None, False, None),
    "smollm2": (pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True),
                                         pre_tokenizers.ByteLevel(add_prefix_space=False)]),
                "<|im_start|>", None, False, None),
    "llama3": (after_split(llama3_pattern), "<|begin_of_text|>", "<|begin_of_text|> $A", True, None),
    "qwen2": (after_split(qwen2_pattern), "<|im_end|>", "$A <|im_end|>", False, normalizers.NFC()),
}
special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|begin_of_text|>"]

words = """the of and to in that is was for on with as by at from his her it not are which this be had but have they one you were all
she there would their we him been has when who will no more if out so said what up its about into than them can only other new some
could time these two may then do first any my now such like our over man me even most made after also did many before must through
back years where much your way well down should because each just those people Mr. how too little state good very make world still
own see men work long get here between both life being under never day same another know while last might us great old year off come
since against go came right used take three themselves few house use place during without again home around small however found""".split()
other_words = """über Straße naïve façade Ångström niño señor çok güzel İstanbul ſharp ﬁne Привет мир Здравствуйте ελληνικά Αθήνα שלום עולם
مرحبا بالعالم हिन्दी नमस्ते สวัสดี 中文 日本語 テスト 漢字 한국어 안녕하세요 東京 北京市 ٣٤٥ १२३ Ⅷ ½ ² ① ﷺ Việt ệ ö ñ K Å ǅ""".split()
emoji = ["😀", "🤖", "👩‍👩‍👧‍👦", "👍🏽", "🇩🇪", "❤️", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "✅", "🫠", "™", "€", "→", "∑", "≈"]
marks = ["e\u0301", "a\u0308", "n\u0303", "o\u0302\u0323", "q\u0307\u0323", "\u1100\u1161\u11a8", "\uac00\u11a8", "\u0915\u093c",
         "\u212b", "\u2126", "\ufb1d", "Z\u0351\u036b\u0343", "\u0344", "\u0958", "\u2adc", "\U0001d15e", "\u0b47\u0b3e"]
spaces = [" ", "  ", "   ", "\t", "\t\t", "\n", "\n\n", "\r\n", " \n ", "\u00a0", "\u3000", "\u2003", "\u0085", "\u2028", "\x0b", "\x0c",
          "\x1c", "\u180e", "\u200b", "\ufeff", " \u00a0 ", "\u202f", "        "]
tails = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "'S", "'LL", "'Ve", "'x", "’s", "''s", "'\u017f"]
code = ["for (int i = 0; i < n; ++i) {", "    return x[i] * 2;", "def f(a, b=None):", "\tif a is not None and b >= 0x1F:",
        "#include <vector>", "std::vector<float> v(10, 0.5f);", "// TODO(me): fix #123", "<div class=\"a b\">text</div>",
        "SELECT * FROM t WHERE id=42;", "a->b.c[-1] != (d & ~e) || !f", "{\"key\": [1, 2.5e-3, null, \"\\n\"]}", "$ make -j8 2>&1 | tee log"]
broken = [b"\xff", b"\xc0\xaf", b"\xe2\x82", b"\xf0\x9f\x98", b"\xed\xa0\x80", b"\x80\x80", b"\xf4\x90\x80\x80", b"\xc3", b"\xfe\xfe\xff"]


def make_corpus(draw):
    def word():
        return draw.choice(words if draw.random() < 0.8 else other_words)

    def sentence():
        out = word().capitalize()
        for _ in range(draw.randrange(1, 9)):
            out += " " + word() + (draw.choice(tails) if draw.random() < 0.15 else "")
        return out + draw.choice([".", "!", "?", " ...", "?!", ";", ""])

    def digits():
        return " ".join(str(draw.randrange(10 ** draw.randrange(1, 30))) for _ in range(draw.randrange(1, 4)))

    def mixed():
        pools = (words, other_words, emoji, marks, spaces, tails, special, ["<|mark|>", "<|mark", "|>", "<<|im_end|>>"])
        return "".join(draw.choice(draw.choice(pools)) for _ in range(draw.randrange(2, 10)))

    lines = ["", " ", "\n", "\0", "\0a\0", "'", "a", " a", "<|endoftext|>", " " * 300, "\n" * 50, "a" * 300, "0" * 300, "é" * 40, *spaces,
             *marks, *tails, *emoji, *other_words]
    kinds = [(sentence, 700), (digits, 150), (mixed, 700), (lambda: draw.choice(code) + draw.choice(spaces) + sentence(), 200),
             (lambda: draw.choice(spaces) * draw.randrange(1, 6) + word() + draw.choice(spaces), 150)]
    lines += [kind() for kind, count in kinds for _ in range(count)]
    lines = [line.encode() for line in lines]
    for _ in range(200):  # broken UTF-8: inserted parts, and lines cut anywhere
        line = draw.choice(lines)
        at = draw.randrange(len(line) + 1)
        lines.append(line[:at] + draw.choice(broken) + line[at:] if draw.random() < 0.6 else line[at:])
    return lines


def uint16(values):
    return struct.pack(f"<{len(values)}H", *values)


def main():
    lines = make_corpus(random.Random(20240229))
    (here / "lines.bin").write_bytes(b"".join(uint16([len(line)]) + line for line in lines))
    texts = [line.decode(errors="replace") for line in lines]
    for name, (cutter, first, frame, ignore_merges, normalizer) in recipes.items():
        tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
        tokenizer.pre_tokenizer = cutter
        tokenizer.decoder = decoders.ByteLevel()
        if normalizer:
            tokenizer.normalizer = normalizer
        trainer = trainers.BpeTrainer(vocab_size=1000, special_tokens=[first], show_progress=False,
                                      initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
        tokenizer.train_from_iterator(texts, trainer)
        tokenizer.add_special_tokens([token for token in special if token != first])
        tokenizer.add_tokens([AddedToken("<|mark|>", lstrip=True, rstrip=True, normalized=False)])
        if normalizer:
            tokenizer.add_tokens([AddedToken("o\u0323\u0302", normalized=True)])
        if frame:
            special_id = tokenizer.token_to_id(first)
            tokenizer.post_processor = processors.Sequence([
                processors.ByteLevel(trim_offsets=False),
                processors.TemplateProcessing(single=frame, special_tokens=[(first, special_id)])])
        else:
            tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
        tokenizer.save(str(here / f"{name}.json"), pretty=False)
        ids = [tokenizer.encode(text).ids for text in texts]
        (here / f"{name}.ids").write_bytes(b"".join(uint16([len(line), *line]) for line in ids))
    print(len(lines), "lines")


if __name__ == "__main__":
    main()
