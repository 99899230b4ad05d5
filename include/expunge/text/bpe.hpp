// Byte-level byte-pair encoding: a vocabulary in the GPT-2 byte alphabet and merges applied in the order of their ranks.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <queue>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include "expunge/core/error.hpp"
#include "expunge/text/byte_alphabet.hpp"

namespace expunge::text {

/// Settings of a BPE model beyond its tables.
struct bpe_options {
  bool ignore_merges = false;           // a piece that is a token as a whole becomes that token (Llama 3)
  std::optional<std::int32_t> unknown;  // id for a byte without a token; without it such a byte is dropped
};

/// The two tokens of a merge written as "left right". Throws expunge::error unless there is one space between two tokens.
[[nodiscard]] inline std::pair<std::string, std::string> parse_merge(const std::string& merge) {
  const std::size_t space = merge.find(' ');
  require(space != std::string::npos && space > 0 && space + 1 < merge.size() && merge.find(' ', space + 1) == std::string::npos,
          "the merge '", merge, "' is not two tokens with one space between");
  return {merge.substr(0, space), merge.substr(space + 1)};
}

/// The merge table and vocabulary of one model (Sennrich et al. 2016, on bytes as in Radford et al. 2019).
class bpe {
 public:
  using vocabulary = std::unordered_map<std::string, std::int32_t>;   // token in the byte alphabet -> id
  using merge_list = std::vector<std::pair<std::string, std::string>>;  // rank -> (left, right)

  /// Throws expunge::error where a merge names a token, or makes one, that is not in `vocab`, or where an id is negative.
  bpe(vocabulary vocab, const merge_list& merges, bpe_options options = {}) : vocab_(std::move(vocab)), options_(options) {
    for (const auto& [token, id] : vocab_) require(id >= 0, "token '", token, "' has the negative id ", id);
    for (std::size_t byte = 0; byte < 256; ++byte) {
      std::string symbol;
      append_utf8(symbol, byte_to_symbol(static_cast<unsigned char>(byte)));
      byte_ids_[byte] = find(symbol).value_or(options_.unknown.value_or(-1));
    }
    merges_.reserve(merges.size());
    for (std::size_t rank = 0; rank < merges.size(); ++rank) {
      const std::string& left = merges[rank].first;
      const std::string& right = merges[rank].second;
      const auto id = [&](const std::string& token) {
        const auto found = find(token);
        require(found.has_value(), "merge ", rank, " ('", left, "' '", right, "') needs the token '", token,
                "', which is not in the vocabulary");
        return *found;
      };
      merges_.insert_or_assign(key(id(left), id(right)), merge{rank, id(left + right)});
    }
  }

  /// The id of `token` (in the byte alphabet), if there is one.
  [[nodiscard]] std::optional<std::int32_t> find(const std::string& token) const {
    const auto it = vocab_.find(token);
    return it == vocab_.end() ? std::nullopt : std::optional(it->second);
  }

  [[nodiscard]] const vocabulary& vocab() const noexcept { return vocab_; }

  /// Appends the ids of one piece (raw bytes) to `out`: repeatedly merges the pair of lowest rank, the leftmost first.
  /// O(n log n) in the bytes of the piece.
  void encode(std::string_view piece, std::vector<std::int32_t>& out) const {
    if (options_.ignore_merges) {
      if (const auto whole = find(bytes_to_symbols(piece))) {
        out.push_back(*whole);
        return;
      }
    }
    std::vector<node> symbols;  // a doubly linked list in an array; id -1 marks a symbol merged away
    symbols.reserve(piece.size());
    for (const char byte : piece)
      if (const auto id = byte_ids_[static_cast<unsigned char>(byte)]; id >= 0)
        symbols.push_back({id, symbols.size() - 1, symbols.size() + 1});  // `before` of the first wraps to `none`
    if (symbols.empty()) return;
    symbols.back().after = none;

    std::priority_queue<candidate, std::vector<candidate>, std::greater<>> queue;
    const auto consider = [&](std::size_t left) {
      if (left == none || symbols[left].after == none) return;
      const auto it = merges_.find(key(symbols[left].id, symbols[symbols[left].after].id));
      if (it != merges_.end()) queue.emplace(it->second.rank, left, it->second.id);
    };
    for (std::size_t i = 0; i < symbols.size(); ++i) consider(i);
    while (!queue.empty()) {
      const auto [rank, left, merged] = queue.top();
      queue.pop();
      node& l = symbols[left];
      if (l.id < 0 || l.after == none) continue;  // stale: one of the two has merged since
      node& r = symbols[l.after];
      const auto it = merges_.find(key(l.id, r.id));
      if (it == merges_.end() || it->second.rank != rank) continue;
      l.id = merged;
      l.after = r.after;
      r.id = -1;
      if (l.after != none) symbols[l.after].before = left;
      consider(l.before);
      consider(left);
    }
    for (std::size_t i = 0; i != none; i = symbols[i].after) out.push_back(symbols[i].id);
  }

 private:
  static constexpr std::size_t none = static_cast<std::size_t>(-1);

  struct merge {
    std::size_t rank;
    std::int32_t id;
  };
  struct node {
    std::int32_t id;
    std::size_t before;
    std::size_t after;
  };
  using candidate = std::tuple<std::size_t, std::size_t, std::int32_t>;  // rank, left symbol, merged id

  static std::uint64_t key(std::int32_t left, std::int32_t right) noexcept {
    return (std::uint64_t{static_cast<std::uint32_t>(left)} << 32U) | static_cast<std::uint32_t>(right);
  }

  vocabulary vocab_;
  bpe_options options_;
  std::array<std::int32_t, 256> byte_ids_{};
  std::unordered_map<std::uint64_t, merge> merges_;
};

}  // namespace expunge::text
