// What the commands of the program share: loading, encoding, accuracies, progress, and writing JSON. Functions over tensors are
// instantiated for every device in program.cpp.
#pragma once

#include "../device.hpp"

#include <expunge/data/encode.hpp>
#include <expunge/data/fact_file.hpp>
#include <expunge/io/atomic_file.hpp>
#include <expunge/model/language_model.hpp>
#include <expunge/tensor/unmade_storage.hpp>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <charconv>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <initializer_list>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace program {

using expunge::model::language_model;
using unmade_tensor = expunge::tensor<float, expunge::unmade_storage<float>>;  // of a model without weights: load_facts() alone
using sequences = std::vector<expunge::nn::token_sequence>;

/// A check of an option's number: from `least` to `most`, which no NaN is; `expected` says so in words.
inline CLI::Validator number(double least, double most, const std::string& expected) {
  return {[=](std::string& text) {
            double value = 0;
            const bool fits = CLI::detail::lexical_cast(text, value) && value >= least && value <= most;
            return fits ? std::string{} : "'" + text + "' is not " + expected;
          }, ""};
}
inline CLI::Validator positive() { return number(std::numeric_limits<double>::min(), std::numeric_limits<double>::max(), "a finite number above 0"); }
inline CLI::Validator not_negative() { return number(0, std::numeric_limits<double>::max(), "a finite number from 0"); }
inline CLI::Validator share() { return number(0, 1, "a number from 0 to 1"); }
inline CLI::Validator whole(std::uint64_t least, std::uint64_t most = 1'000'000'000'000'000) {  // in digits: CLI11 takes 010 for 8
  return {[=](std::string& text) {
            std::uint64_t value = 0;
            const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
            const bool fits = failure == std::errc{} && end == text.data() + text.size() && (text.size() == 1 || text[0] != '0') &&
                              value >= least && value <= most;
            return fits ? std::string{} : "'" + text + "' is not a whole number from " + std::to_string(least) + " to " + std::to_string(most);
          }, ""};
}

/// Options that every command on facts has.
struct text_options {
  std::string form = expunge::data::prompt_template{}.text;
  bool eos = false;
  device_options device;

  void add_to(CLI::App& command);
  [[nodiscard]] expunge::data::prompt_template prompt() const;
  [[nodiscard]] std::optional<std::int32_t> end(std::optional<std::int32_t> token) const;  // of the model
};

/// Facts of a file, encoded.
struct fact_set {
  std::filesystem::path file;
  std::vector<expunge::data::fact> facts;
  sequences answers;                  // the question with its answer
  std::vector<sequences> choices;     // ... and with the answer and each false answer, without the end token
  std::vector<std::vector<std::int32_t>> prompts;
};
/// Errors name file and fact, also for a text longer than the model's context.
template <class X>
fact_set encode_facts(const std::filesystem::path& file, std::vector<expunge::data::fact> facts, const language_model<X>& m, const text_options& options);
template <class X>
fact_set load_facts(const std::filesystem::path& file, const language_model<X>& m, const text_options& options) {
  return encode_facts(file, expunge::data::load_facts(file), m, options);
}

/// Throws expunge::error naming both files for a fact that is in both sets; `what` the second one is.
void require_disjoint(const fact_set& forget, const fact_set& other, std::string_view what);

/// Says on standard error which fact without false answers makes generation, not multiple choice, judge all, where others have some.
void note_missing_choices(const fact_set& set);

/// Says on standard error where most answers' joint probability P is below 1e-6 and attributions of P are next to nothing; `instead` ends the
/// sentence.
void note_vanishing(const std::filesystem::path& facts, std::vector<double> joint_probability, const char* instead);

/// Per fact: does the right answer win the multiple choice; does greedy generation begin with the answer?
struct scores {
  std::vector<bool> choice, generation;
  std::vector<double> probability, joint_probability, nll;
  [[nodiscard]] bool has_choice() const { return !choice.empty(); }  // every fact has a false answer
};
template <class X>
std::vector<bool> multiple_choice(const language_model<X>& m, const fact_set& set);
template <class X>
std::vector<bool> generated(const language_model<X>& m, const fact_set& set);
template <class X>
scores evaluate(const language_model<X>& m, const fact_set& set);
nlohmann::ordered_json summary(const scores& s);

/// A file to be written at the end of a command, opened before the work begins; nothing for an empty path. Throws expunge::error.
/// Refuses to replace one of `inputs`, files or model folders.
std::optional<expunge::io::atomic_file> output_file(const std::filesystem::path& path, std::initializer_list<std::filesystem::path> inputs = {});

/// One line on a terminal's standard error that is rewritten, for work that takes more than two seconds.
void show_progress(const std::string& line, bool last = false);

/// Register the commands; each sets `run` when chosen.
using action = std::function<void()>;
void add_unlearn(CLI::App& app, action& run);
void add_evaluate(CLI::App& app, action& run);
void add_audit(CLI::App& app, action& run);
void add_attack(CLI::App& app, action& run);
void add_inspect(CLI::App& app, action& run);

}  // namespace program
