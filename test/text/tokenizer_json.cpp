// tokenizer.json against the ids of the Python package `tokenizers` (test/golden/tokenizers/make.py), and broken files.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/test/unit_test.hpp>
#include <nlohmann/json.hpp>

#include "expunge/io/mapped_file.hpp"
#include "expunge/text/tokenizer_json.hpp"

namespace text = expunge::text;
using expunge::io::mapped_file;
using nlohmann::json;
using ids = std::vector<std::int32_t>;

namespace {

const std::filesystem::path golden = std::filesystem::path(EXPUNGE_SOURCE_DIR) / "test/golden/tokenizers";

std::size_t uint16_at(std::string_view bytes, std::size_t at) {
  const auto low = static_cast<unsigned char>(bytes.at(at)), high = static_cast<unsigned char>(bytes.at(at + 1));
  return static_cast<std::size_t>(low | (high << 8));
}

/// The records of a golden file: a uint16 count, then as many elements of `width` bytes.
std::vector<std::string> records(const std::filesystem::path& path, std::size_t width) {
  const mapped_file file(path);
  std::vector<std::string> out;
  for (std::size_t at = 0; at < file.text().size(); at += 2 + out.back().size())
    out.emplace_back(file.text().substr(at + 2, width * uint16_at(file.text(), at)));
  return out;
}

ids ids_of(std::string_view record) {
  ids out;
  for (std::size_t at = 0; at < record.size(); at += 2) out.push_back(static_cast<std::int32_t>(uint16_at(record, at)));
  return out;
}

json golden_json(const std::string& name) { return json::parse(mapped_file(golden / (name + ".json")).text()); }

/// Whether gpt2.json with `change` made to it is refused with a message that holds `part`.
bool refused(std::string_view part, const std::function<void(json&)>& change) {
  json file = golden_json("gpt2");
  change(file);
  try {
    static_cast<void>(text::tokenizer_from_json(file.dump(), "some.json"));
  } catch (const expunge::error& e) {
    const std::string message = e.what();
    if (message.find(part) != std::string::npos && message.find("some.json") != std::string::npos) return true;
    BOOST_TEST_MESSAGE(message);
  }
  return false;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(tokenizer_json)

BOOST_AUTO_TEST_CASE(every_line_has_the_ids_of_the_reference) {
  const auto lines = records(golden / "lines.bin", 1);
  BOOST_TEST_REQUIRE(lines.size() >= 2000U);
  for (const char* name : {"gpt2", "smollm2", "llama3", "qwen2"}) {
    const text::tokenizer t = text::read_tokenizer_json(golden / (std::string(name) + ".json"));
    const auto expected = records(golden / (std::string(name) + ".ids"), 2);
    BOOST_TEST_REQUIRE(expected.size() == lines.size());
    const bool frame = !t.frame().before.empty() || !t.frame().after.empty();
    BOOST_TEST(frame == (name == std::string("llama3") || name == std::string("qwen2")));
    const std::int32_t mark = t.id_of("<|mark|>").value();
    for (std::size_t i = 0; i < lines.size(); ++i) {
      const ids found = t.encode(lines[i], true);
      BOOST_TEST(found == ids_of(expected[i]), name << ", line " << i << ": " << text::to_valid_utf8(lines[i]));
      const ids inner = t.encode(lines[i]);
      BOOST_TEST(inner.size() + t.frame().before.size() + t.frame().after.size() == found.size());
      if (std::find(inner.begin(), inner.end(), mark) == inner.end())  // <|mark|> takes white space along
        BOOST_TEST((name == std::string("qwen2") ? text::to_nfc(t.decode(inner)) == text::to_nfc(lines[i])
                                                 : t.decode(inner) == text::to_valid_utf8(lines[i])),
                   name << ", line " << i);
    }
  }
}

BOOST_AUTO_TEST_CASE(merges_may_be_strings) {
  json file = golden_json("gpt2");
  for (json& merge : file["model"]["merges"]) merge = merge[0].get<std::string>() + " " + merge[1].get<std::string>();
  const auto t = text::tokenizer_from_json(file.dump());
  const std::string sample = "The world's 123 naïve tests";
  BOOST_TEST((t.encode(sample) == text::tokenizer_from_json(golden_json("gpt2").dump()).encode(sample)));
}

BOOST_AUTO_TEST_CASE(a_model_without_a_type_is_bpe) {
  json file = golden_json("gpt2");
  const std::string sample = "The world's 123 naïve tests";
  const ids expected = text::tokenizer_from_json(file.dump()).encode(sample);
  file["model"].erase("type");
  BOOST_TEST((text::tokenizer_from_json(file.dump()).encode(sample) == expected));
  BOOST_TEST(refused("model has no type", [](json& f) { f["model"].erase("type"), f["model"].erase("merges"); }));
  BOOST_TEST(refused("model has no type", [](json& f) { f["model"].erase("type"), f["model"]["vocab"] = json::array({{"a", 0}}); }));
}

BOOST_AUTO_TEST_CASE(patterns_of_two_meanings_are_refused) {
  const auto split = [](json& f, const std::string& regex) {
    f["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", {{{"type", "Split"}, {"pattern", {{"Regex", regex}}}, {"behavior", "Isolated"}},
                                                                    f["pre_tokenizer"]}}};
  };
  const auto refuses = [&](const std::string& part, const std::string& regex) {
    BOOST_TEST(refused("Split: " + part + " in the pattern", [&](json& f) { split(f, regex); }), regex);
  };
  for (const std::string escape : {"\\w", "\\W", "\\b", "\\B", "\\h", "\\H", "\\C", "\\Q", "\\E", "\\v", "\\V", "\\K", "\\G", "\\N", "\\p{Han}",
                                   "\\P{^Latin}"}) {
    refuses(escape, escape + "+");
    refuses(escape, "\\\\" + escape);
    refuses(escape, "a|[^\\p{L}" + escape + "]");
  }
  refuses("\\S within a class", R"([^a\S])");
  refuses("[ within a class", R"(a[b[:digit:]])");
  refuses("&& within a class", R"([\s&&a])");
  refuses("] as the first character of a class", R"([^]\s])");
  refuses("}+", R"(\p{N}{1,3}+)");
  refuses("{,", R"(a{,3})");
  refuses("}?", R"(a{2}?)");
  refuses("(*", R"((*UCP)a)");
  refuses("\\p without braces", R"(\pL)");
  for (const std::string group : {"(?m)", "(?s:", "(?i)", "(?i:[\\p{Lu}]", "(?i:a(b)", "(?x)", "(?|a", "(?P<n>a"})
    refuses(group.substr(0, 3) + " around more than characters, or with other options than i,", group + "|b)");
  for (const std::string regex : {R"(\\w)", R"(\S+)", R"([\[\]^$&\s]+)", R"(\p{L}+|\x{41}+)", R"(\^|\$|[^&]++|\d{1,3})", R"(^\s+|\s+$)",
                                  R"((?i:'s|'[tm])(?:a)(?<=b)(?!c)(?>d))", R"(\p{^L}\P{Lu})"}) {
    json file = golden_json("gpt2");
    split(file, regex);
    BOOST_CHECK_NO_THROW(static_cast<void>(text::tokenizer_from_json(file.dump())));
  }
}

BOOST_AUTO_TEST_CASE(each_setting_changes_the_outcome) {
  const std::string sample = "a-1 22 b";
  const auto encode = [&](const json& file) { return text::tokenizer_from_json(file.dump()).encode(sample); };
  json file = golden_json("gpt2");
  const ids plain = encode(file);
  file["model"]["merges"].push_back(json::array({"-", "1"}));
  file["model"]["vocab"]["-1"] = 2000;
  file["pre_tokenizer"].erase("use_regex");
  BOOST_TEST((encode(file) == plain));  // where it is true
  file["pre_tokenizer"]["use_regex"] = false;
  BOOST_TEST((encode(file) != plain));  // merges across words
  const json byte_level = file["pre_tokenizer"];
  const auto with = [&](json step) {
    file["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", json::array({std::move(step), byte_level})}};
    return encode(file);
  };
  const ids kept = with({{"type", "Split"}, {"pattern", {{"String", "-"}}}, {"behavior", "Isolated"}, {"invert", false}});
  const ids dropped = with({{"type", "Split"}, {"pattern", {{"String", "-"}}}, {"behavior", "Removed"}, {"invert", true}});
  BOOST_TEST(dropped.size() == 1U);
  BOOST_TEST(kept.size() > 1U);
  BOOST_TEST((with({{"type", "Split"}, {"pattern", {{"Regex", "1 "}}}, {"behavior", "Isolated"}}) != plain));
  BOOST_TEST((with({{"type", "Split"}, {"pattern", {{"Regex", "(?=1)"}}}, {"behavior", "Isolated"}}) == kept));  // an empty match cuts
  BOOST_TEST(with({{"type", "Split"}, {"pattern", {{"String", "."}}}, {"behavior", "Removed"}, {"invert", true}}).empty());  // a dot is a dot
  file["model"]["merges"].push_back(json::array({"2", "2"}));
  file["model"]["vocab"]["22"] = 2001;
  BOOST_TEST((with({{"type", "Digits"}}) != with({{"type", "Digits"}, {"individual_digits", true}})));
}

BOOST_AUTO_TEST_CASE(settings_that_change_nothing_are_read) {
  json file = golden_json("gpt2");
  const std::string sample = "The world's 123 naïve tests";
  const ids expected = text::tokenizer_from_json(file.dump()).encode(sample);
  file["model"].update({{"dropout", 0.0}, {"continuing_subword_prefix", ""}, {"end_of_word_suffix", ""}});  // as GPT-2's file has them
  BOOST_TEST((text::tokenizer_from_json(file.dump()).encode(sample) == expected));
}

BOOST_AUTO_TEST_CASE(a_literal_may_have_any_characters) {
  json file = golden_json("gpt2");
  file["pre_tokenizer"]["use_regex"] = false;
  file["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", {{{"type", "Split"}, {"pattern", {{"String", "é."}}}, {"behavior", "Removed"},
                                                                     {"invert", true}}, file["pre_tokenizer"]}}};
  const auto t = text::tokenizer_from_json(file.dump());
  BOOST_TEST(t.decode(t.encode("aé.bé")) == "é.");
}

BOOST_AUTO_TEST_CASE(each_side_of_an_added_token_is_stripped_by_its_own_flag) {
  json file = golden_json("gpt2");
  for (const char* key : {"lstrip", "rstrip"}) {
    file["added_tokens"][4]["lstrip"] = file["added_tokens"][4]["rstrip"] = false;  // <|mark|>
    file["added_tokens"][4][key] = true;
    const auto t = text::tokenizer_from_json(file.dump());
    BOOST_TEST(t.decode(t.encode("a <|mark|> b")) == (key == std::string("lstrip") ? "a<|mark|> b" : "a <|mark|>b"));
  }
}

BOOST_AUTO_TEST_CASE(a_byte_without_a_token_is_the_unknown_token) {
  json file = golden_json("gpt2");
  file["model"]["unk_token"] = "a";
  file["model"]["vocab"].erase("~");
  const auto t = text::tokenizer_from_json(file.dump());
  BOOST_TEST(t.decode(t.encode("b~")) == "ba");
}

BOOST_AUTO_TEST_CASE(special_tokens_can_be_left_out_of_a_text) {
  const auto t = text::read_tokenizer_json(golden / "gpt2.json");
  const ids end{t.id_of("<|endoftext|>").value()};
  BOOST_TEST(t.decode(end) == "<|endoftext|>");
  BOOST_TEST(t.decode(end, text::special_tokens::skip) == "");
}

BOOST_AUTO_TEST_CASE(normalizers_may_be_in_a_sequence) {
  json file = golden_json("gpt2");
  const auto encode = [&](const json& normalizer) {
    file["normalizer"] = normalizer;
    return text::tokenizer_from_json(file.dump()).encode("e\u0301");  // two characters that NFC makes one
  };
  const json composed = {{"type", "NFC"}};
  const auto sequence = [](const json& steps) { return json{{"type", "Sequence"}, {"normalizers", steps}}; };
  BOOST_TEST((encode(composed) != encode(nullptr)));
  BOOST_TEST((encode(sequence(json::array())) == encode(nullptr)));
  BOOST_TEST((encode(sequence(json::array({composed}))) == encode(composed)));
}

BOOST_AUTO_TEST_CASE(unsupported_parts_are_named) {
  BOOST_TEST(refused("truncation", [](json& f) { f["truncation"] = {{"max_length", 8}}; }));
  BOOST_TEST(refused("padding", [](json& f) { f["padding"] = {{"strategy", "BatchLongest"}}; }));
  BOOST_TEST(refused("NFKC", [](json& f) { f["normalizer"] = {{"type", "NFKC"}}; }));
  BOOST_TEST(refused("NFKC", [](json& f) { f["normalizer"] = {{"type", "Sequence"}, {"normalizers", {{{"type", "NFKC"}}}}}; }));
  BOOST_TEST(refused("Metaspace", [](json& f) { f["pre_tokenizer"] = {{"type", "Metaspace"}}; }));
  BOOST_TEST(refused("pre_tokenizer", [](json& f) { f["pre_tokenizer"] = nullptr; }));
  BOOST_TEST(refused("ByteLevel", [](json& f) { f["pre_tokenizer"] = {{"type", "Digits"}}; }));
  BOOST_TEST(refused("add_prefix_space", [](json& f) { f["pre_tokenizer"]["add_prefix_space"] = true; }));
  BOOST_TEST(refused("add_prefix_space", [](json& f) { f["pre_tokenizer"].erase("add_prefix_space"); }));  // where it is true
  BOOST_TEST(refused("after ByteLevel", [](json& f) {
    f["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", {f["pre_tokenizer"], {{"type", "Digits"}}}}};
  }));
  BOOST_TEST(refused("MergedWithNext", [](json& f) {
    f["pre_tokenizer"] = {{"type", "Split"}, {"pattern", {{"Regex", "a"}}}, {"behavior", "MergedWithNext"}};
  }));
  BOOST_TEST(refused("Removed", [](json& f) {
    f["pre_tokenizer"] = {{"type", "Split"}, {"pattern", {{"Regex", "a"}}}, {"behavior", "Removed"}};
  }));
  BOOST_TEST(refused("WordPiece", [](json& f) { f["decoder"] = {{"type", "WordPiece"}}; }));
  BOOST_TEST(refused("BertProcessing", [](json& f) { f["post_processor"] = {{"type", "BertProcessing"}}; }));
  BOOST_TEST(refused("Unigram", [](json& f) { f["model"]["type"] = "Unigram"; }));
  BOOST_TEST(refused("dropout", [](json& f) { f["model"]["dropout"] = 0.1; }));
  BOOST_TEST(refused("byte_fallback", [](json& f) { f["model"]["byte_fallback"] = true; }));
  BOOST_TEST(refused("end_of_word_suffix", [](json& f) { f["model"]["end_of_word_suffix"] = "</w>"; }));
  BOOST_TEST(refused("fuse_unk", [](json& f) { f["model"].update({{"unk_token", "a"}, {"fuse_unk", true}}); }));
  BOOST_TEST(refused("single_word", [](json& f) { f["added_tokens"][0]["single_word"] = true; }));
}

BOOST_AUTO_TEST_CASE(broken_files_are_refused) {
  BOOST_TEST(refused("vocab", [](json& f) { f["model"].erase("vocab"); }));
  BOOST_TEST(refused("number", [](json& f) { f["model"]["merges"] = 3; }));
  BOOST_TEST(refused("pair", [](json& f) { f["model"]["merges"][5] = {"a", "b", "c"}; }));
  BOOST_TEST(refused("one space", [](json& f) { f["model"]["merges"][5] = "ab"; }));
  BOOST_TEST(refused("not in the vocabulary", [](json& f) { f["model"]["merges"][5] = {"no such", "token"}; }));
  BOOST_TEST(refused("share the id", [](json& f) { f["model"]["vocab"]["a"] = f["model"]["vocab"]["b"]; }));
  for (const json& id : {json(-1), json(1.5), json("1"), json(4294967296), json(2147483647)})
    BOOST_TEST(refused("id", [&](json& f) { f["model"]["vocab"]["a"] = id; }), id.dump());
  BOOST_TEST(refused("belongs to", [](json& f) { f["added_tokens"][0]["id"] = 5; }));
  BOOST_TEST(refused("content", [](json& f) { f["added_tokens"][0].erase("content"); }));
  BOOST_TEST(refused("special_tokens", [](json& f) {
    f["post_processor"] = {{"type", "TemplateProcessing"}, {"single", {{{"SpecialToken", {{"id", "x"}}}}}}};
  }));
  BOOST_TEST(refused("the text", [](json& f) {
    f["post_processor"] = {{"type", "TemplateProcessing"}, {"single", json::array()}, {"special_tokens", json::object()}};
  }));
  const json template_of_two = {{"type", "TemplateProcessing"}, {"single", {{{"Sequence", {{"id", "A"}}}}, {{"Sequence", {{"id", "A"}}}}}}};
  BOOST_TEST(refused("twice", [&](json& f) { f["post_processor"] = template_of_two; }));
  json step = template_of_two;
  step["single"] = {{{"SpecialToken", {{"id", "<|im_end|>"}}}}, {{"Sequence", {{"id", "A"}}}}};
  step["special_tokens"]["<|im_end|>"]["ids"] = {1001};
  BOOST_TEST(refused("second TemplateProcessing", [&](json& f) { f["post_processor"] = {{"type", "Sequence"}, {"processors", {step, step}}}; }));
  step["single"][0]["SpecialToken"]["id"] = "many";
  step["special_tokens"]["many"]["ids"] = std::vector<int>(1025, 0);
  BOOST_TEST(refused("more than 1024 ids", [&](json& f) { f["post_processor"] = step; }));
  BOOST_TEST(refused("more than 64 steps", [](json& f) {
    json steps = json::array();
    for (int i = 0; i < 65; ++i) steps.push_back({{"type", "Digits"}});
    f["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", steps}};
  }));
  BOOST_TEST(refused("unk_token", [](json& f) { f["model"]["unk_token"] = "no such"; }));
  BOOST_TEST(refused("compile", [](json& f) {
    f["pre_tokenizer"] = {{"type", "Split"}, {"pattern", {{"Regex", "a("}}}, {"behavior", "Isolated"}};
  }));
  const std::string whole = golden_json("gpt2").dump();
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, whole.size() / 2, whole.size() - 1})
    BOOST_CHECK_THROW(static_cast<void>(text::tokenizer_from_json(whole.substr(0, size))), expunge::error);
  for (const char* other : {"[]", "3", "null", "{}", "\"\"", "{\"a\":1,\"a\":2}"})
    BOOST_CHECK_THROW(static_cast<void>(text::tokenizer_from_json(other)), expunge::error);
  BOOST_CHECK_THROW(static_cast<void>(text::read_tokenizer_json(golden / "no such file")), expunge::error);
}

BOOST_AUTO_TEST_SUITE_END()
