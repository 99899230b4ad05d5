// Copy and reverse tasks: text that has nothing to do with any fact, to keep a small model from being about facts alone.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "expunge/core/random.hpp"
#include "expunge/data/fact.hpp"

namespace expunge::data {

/// `count` different tasks such as "copy ka lo mi" -> "ka lo mi" and "reverse ka lo mi" -> "mi lo ka", of 3 to 6 symbols.
[[nodiscard]] inline std::vector<fact> make_copy_sequences(index_t count, std::uint64_t seed) {
  static constexpr std::array<std::string_view, 5> onsets{"k", "l", "m", "r", "t"}, vowels{"a", "e", "i", "o", "u"};
  require(count >= 0 && count <= 10000, "copy sequences: ", count, " asked for, expected 0 to 10000");
  philox random(seed, 0xC0B1);
  std::set<std::string> known;
  std::vector<fact> out;
  while (std::ssize(out) < count) {
    std::vector<std::string> symbols(3 + uniform_below(random, 4));
    for (std::string& s : symbols) {
      s = onsets[uniform_below(random, 5)];
      s += vowels[uniform_below(random, 5)];
    }
    const auto joined = [&] {
      std::string text;
      for (const std::string& s : symbols) text += (text.empty() ? "" : " ") + s;
      return text;
    };
    const bool reverse = uniform_below(random, 2) == 1;
    const std::string question = (reverse ? "reverse " : "copy ") + joined();
    if (reverse) std::reverse(symbols.begin(), symbols.end());
    if (known.insert(question).second) out.push_back({"copy" + std::to_string(out.size()), question, joined(), {}, {}});
  }
  return out;
}

}  // namespace expunge::data
