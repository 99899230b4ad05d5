// --name VALUE or --name=VALUE for small programs: a table of options, its help, and errors that name the option.
#pragma once

#include <expunge/core/error.hpp>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <iostream>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>

namespace program {

/// What stands in `to` before parse() is the default.
struct option {
  std::string_view name;  // with its dashes
  std::variant<std::string*, double*, std::int64_t*, std::uint64_t*> to;
  std::string_view help;
  double least = std::numeric_limits<double>::lowest();  // of a number
};

/// Sets what the arguments name. False where the help was asked for, which it then printed. Throws expunge::error for an unknown
/// option, a missing value and one that does not fit.
inline bool parse(std::string_view about, std::span<const option> options, std::span<const char* const> arguments) {
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string_view given = arguments[i], name = given.substr(0, given.find('='));
    if (name == "--help" || name == "-h") {
      std::cout << about << "\n\n";
      for (const option& o : options) {
        std::cout << "  " << o.name << std::string(20 - o.name.size(), ' ') << o.help;
        std::visit([](const auto* value) { std::cout << " [" << *value << "]\n"; }, o.to);
      }
      return false;
    }
    const auto found = std::ranges::find(options, name, &option::name);
    expunge::require(found != options.end(), "unknown option '", name, "'; --help lists them");
    expunge::require(name.size() < given.size() || i + 1 < arguments.size(), name, ": expected a value behind it");
    const std::string_view text = name.size() < given.size() ? given.substr(name.size() + 1) : std::string_view(arguments[++i]);
    if (std::string* const* const words = std::get_if<std::string*>(&found->to)) **words = text;
    else std::visit([&](auto* value) {
      if constexpr (!std::is_same_v<decltype(value), std::string*>) {
        const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), *value);
        expunge::require(failure == std::errc{} && end == text.data() + text.size(), name, " '", text, "': expected a ",
                         std::is_floating_point_v<std::remove_pointer_t<decltype(value)>> ? "number" : "whole number");
        expunge::require(static_cast<double>(*value) >= found->least, name, " is ", *value, ", expected at least ", found->least);
      }
    }, found->to);
  }
  return true;
}

}  // namespace program
