// The one exception type of the library, and a helper that composes its message.
#pragma once

#include <concepts>
#include <cstddef>
#include <initializer_list>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>

#include "expunge/core/characters.hpp"

namespace expunge {

/// Thrown for every condition a caller can cause: bad files, shapes that do not fit, meaningless settings.
/// The message names the file, tensor or setting, what was expected and found, and the remedy.
class error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Memory exhausted. The message gives the bytes asked for and those in use or free; whoever knows what they were for puts it in front.
class out_of_memory : public error {
 public:
  using error::error;
};

namespace detail {

/// Refers to one part of a message, of any type that prints to a std::ostream. Messages are composed of these by one function rather than
/// by one for each list of types: texts of other lengths are other types, and a header of checks would take seconds to compile.
class message_part {
 public:
  message_part(const char* text) : value_(text), print_([](std::ostream& out, const void* v) { out << static_cast<const char*>(v); }) {}

  template <class T>
    requires(std::is_class_v<T> || !std::convertible_to<const T&, const char*>)
  message_part(const T& value) : value_(&value), print_([](std::ostream& out, const void* v) { out << *static_cast<const T*>(v); }) {}

  friend std::ostream& operator<<(std::ostream& out, const message_part& part) { return part.print_(out, part.value_), out; }

 private:
  const void* value_;
  void (*print_)(std::ostream&, const void*);
};

/// The concatenation of `parts` as one line: names come from files, and a zero byte in one would end what(), a line break the line. Of a
/// long one the middle is left out: a file can hold megabytes where a name is expected.
inline std::string composed(std::initializer_list<message_part> parts) {
  std::ostringstream message;
  for (const message_part& part : parts) message << part;
  std::string line = message.str();
  for (char& c : line)
    if (is_control(c)) c = ' ';
  constexpr std::size_t begin = 4500, end = 1500;  // a path has at most 4096 bytes
  if (line.size() > begin + end) line.replace(begin, line.size() - begin - end, " ... ");
  return line;
}

[[noreturn]] inline void fail_with(std::initializer_list<message_part> parts) { throw error(composed(parts)); }

}  // namespace detail

/// Throws expunge::error with the concatenation of `parts` (anything that prints to a std::ostream).
template <class... Parts>
[[noreturn]] void fail(const Parts&... parts) {
  detail::fail_with({parts...});
}

/// Throws expunge::error with the concatenation of `parts` unless `condition` holds.
template <class... Parts>
void require(bool condition, const Parts&... parts) {
  if (!condition) [[unlikely]]
    detail::fail_with({parts...});
}

/// Throws expunge::error unless the setting `name`, a number of `units`, is above zero.
inline void require_positive(std::ptrdiff_t value, std::string_view name, std::string_view units) {
  require(value > 0, name, " is ", value, ", expected a positive number of ", units);
}

/// Calls f; where that runs out of memory, the error begins with the concatenation of `parts`: what the memory was for.
template <class F, class... Parts>
auto with_purpose(const F& f, const Parts&... parts) {
  try {
    return f();
  } catch (const out_of_memory& e) {
    throw out_of_memory(detail::composed({parts..., ": ", e.what()}));
  }
}

}  // namespace expunge
