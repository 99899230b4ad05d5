#include "expunge/io/gguf.hpp"

#include <cstdint>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include "gguf_bytes.hpp"
#include "temporary_folder.hpp"

using namespace expunge::io;

namespace {

const std::string golden = EXPUNGE_SOURCE_DIR "/test/golden/gguf/types.gguf";
constexpr std::uint64_t huge = std::uint64_t{1} << 62U;

std::string u32(std::uint32_t number) { return bytes(number); }
std::string u64(std::uint64_t number) { return bytes(number); }

std::string tensor(const std::string& name, const std::vector<std::uint64_t>& extents, std::uint32_t type,
                   std::uint64_t offset) {
  std::string made = text_bytes(name) + u32(static_cast<std::uint32_t>(extents.size()));
  for (const auto extent : extents) made += u64(extent);
  return made + u32(type) + u64(offset);
}

// Pads to the default alignment and appends `size` bytes.
std::string with_data(std::string file, std::size_t size) {
  return padded(std::move(file)) + std::string(size, '\1');
}

std::string with_alignment(std::uint32_t alignment) {
  return gguf_header(0, 1) + text_bytes("general.alignment") + u32(4) + u32(alignment);
}

struct broken_file {
  std::string reason;
  std::string content;
  friend std::ostream& operator<<(std::ostream& out, const broken_file& b) { return out << b.reason; }
};

const std::string key = text_bytes("k");
const std::vector<broken_file> broken_files{
    {"empty file", ""},
    {"other format", "GGML" + gguf_header(0, 0).substr(4)},
    {"header cut", gguf_header(0, 0).substr(0, 20)},
    {"version 1", gguf_header(0, 0, 1)},
    {"version 4", gguf_header(0, 0, 4)},
    {"big-endian", gguf_header(0, 0, 0x03000000)},
    {"value count beyond the file", gguf_header(0, huge)},
    {"tensor count beyond the file", gguf_header(huge, 0)},
    {"key length beyond the file", gguf_header(0, 1) + u64(huge)},
    {"key length near 2^64", gguf_header(0, 1) + u64(UINT64_MAX)},
    {"value missing", gguf_header(0, 1) + key + u32(4)},
    {"unknown value type", gguf_header(0, 1) + key + u32(13) + u64(0)},
    {"boolean of value 2", gguf_header(0, 1) + key + u32(7) + "\2"},
    {"string beyond the file", gguf_header(0, 1) + key + u32(8) + u64(huge) + "abc"},
    {"array beyond the file", gguf_header(0, 1) + key + u32(9) + u32(0) + u64(huge)},
    {"array one element short", gguf_header(0, 1) + key + u32(9) + u32(4) + u64(2) + u32(0) + "\1\1\1"},
    {"array of strings beyond the file", gguf_header(0, 1) + key + u32(9) + u32(8) + u64(3) + text_bytes("") + text_bytes("")},
    {"array of arrays", gguf_header(0, 1) + key + u32(9) + u32(9) + u64(1) + u32(4) + u64(0)},
    {"array of an unknown type", gguf_header(0, 1) + key + u32(9) + u32(77) + u64(0)},
    {"key twice", gguf_header(0, 2) + key + u32(7) + "\1" + key + u32(7) + "\1"},
    {"alignment 0", with_alignment(0)},
    {"alignment 24", with_alignment(24)},
    {"alignment of another type", gguf_header(0, 1) + text_bytes("general.alignment") + u32(8) + text_bytes("32")},
    {"tensor name beyond the file", gguf_header(1, 0) + u64(huge)},
    {"five dimensions", with_data(gguf_header(1, 0) + tensor("w", {1, 1, 1, 1, 1}, 0, 0), 4)},
    {"2^32 - 1 dimensions", gguf_header(1, 0) + text_bytes("w") + u32(UINT32_MAX) + u64(1)},
    {"tensor list cut", gguf_header(1, 0) + tensor("w", {2}, 0, 0).substr(0, 20)},
    {"extent beyond 2^63", with_data(gguf_header(1, 0) + tensor("w", {UINT64_MAX}, 0, 0), 8)},
    {"product of extents overflows", with_data(gguf_header(1, 0) + tensor("w", {huge, huge}, 0, 0), 8)},
    {"bytes overflow", with_data(gguf_header(1, 0) + tensor("w", {huge}, 0, 0), 8)},
    {"unknown element type", with_data(gguf_header(1, 0) + tensor("w", {2}, 99, 0), 8)},
    {"removed element type", with_data(gguf_header(1, 0) + tensor("w", {32}, 4, 0), 64)},
    {"row of half a block", with_data(gguf_header(1, 0) + tensor("w", {16, 2}, 8, 0), 34)},
    {"one byte short", with_data(gguf_header(1, 0) + tensor("w", {2}, 0, 0), 7)},
    {"no data at all", gguf_header(1, 0) + tensor("w", {2}, 0, 0)},
    {"offset beyond the file", with_data(gguf_header(1, 0) + tensor("w", {2}, 0, 64), 8)},
    {"offset near 2^64", with_data(gguf_header(1, 0) + tensor("w", {2}, 0, UINT64_MAX - 31), 8)},
    {"misaligned offset", with_data(gguf_header(1, 0) + tensor("w", {2}, 0, 4), 64)},
    {"misaligned offset in a file of another alignment",
     with_data("GGUF" + u32(3) + u64(1) + u64(1) + with_alignment(64).substr(24) + tensor("w", {2}, 0, 32), 96)},
    {"tensor twice", with_data(gguf_header(2, 0) + tensor("w", {2}, 0, 0) + tensor("w", {2}, 0, 32), 64)},
    {"same bytes twice", with_data(gguf_header(2, 0) + tensor("w", {2}, 0, 0) + tensor("v", {2}, 0, 0), 64)},
    {"overlap", with_data(gguf_header(2, 0) + tensor("w", {2}, 0, 32) + tensor("v", {9}, 0, 0), 64)},
};

}  // namespace

BOOST_AUTO_TEST_SUITE(gguf)

BOOST_AUTO_TEST_CASE(every_value_type_of_the_reference_implementation) {
  const gguf_file file(golden);
  const gguf_metadata& values = file.metadata();
  BOOST_TEST(values.get<std::string>("general.architecture") == "llama");
  BOOST_TEST(values.get<int>("test.u8") == 200);
  BOOST_TEST(values.get<int>("test.i8") == -100);
  BOOST_TEST(values.get<std::uint16_t>("test.u16") == 60000);
  BOOST_TEST(values.get<std::int16_t>("test.i16") == -30000);
  BOOST_TEST(values.get<std::uint32_t>("test.u32") == 4'000'000'000U);
  BOOST_TEST(values.get<std::int32_t>("test.i32") == -2'000'000'000);
  BOOST_TEST(values.get<std::uint64_t>("test.u64") == std::uint64_t{1} << 63U);
  BOOST_TEST(values.get<std::int64_t>("test.i64") == -(std::int64_t{1} << 62));
  BOOST_TEST(values.get<float>("test.f32") == 0.5F);
  BOOST_TEST(values.get<double>("test.f64") == 0.1);
  BOOST_TEST(values.get<bool>("test.yes"));
  BOOST_TEST(values.get<std::string>("test.string") == "grün");
  BOOST_TEST((values.get<std::vector<std::string>>("test.strings") == std::vector<std::string>{"a", "", "ĠĊ"}));
  BOOST_TEST((values.get<std::vector<std::int32_t>>("test.ints") == std::vector<std::int32_t>{1, -2, 3}));
  BOOST_TEST((values.get<std::vector<float>>("test.floats") == std::vector<float>{0.5F, -1.25F}));
  BOOST_TEST((values.get<std::vector<bool>>("test.bools") == std::vector<bool>{true, false, true}));
  BOOST_TEST(values.get<double>("test.u8") == 200.0);
}

BOOST_AUTO_TEST_CASE(wrong_requests_name_the_key) {
  const gguf_file file(golden);
  const gguf_metadata& values = file.metadata();
  const auto refused = [&](auto request, const std::string& part) {
    BOOST_CHECK_EXCEPTION(request(), expunge::error, message_contains(part));
    BOOST_CHECK_EXCEPTION(request(), expunge::error, message_contains("types.gguf"));
  };
  refused([&] { return values.get<int>("absent"); }, "'absent'");
  refused([&] { return values.get<int>("test.string"); }, "'test.string' is a string");
  refused([&] { return values.get<int>("test.yes"); }, "a boolean");
  refused([&] { return values.get<bool>("test.u8"); }, "an unsigned integer");
  refused([&] { return values.get<int>("test.f32"); }, "a floating-point number");
  refused([&] { return values.get<std::int8_t>("test.u8"); }, "range");
  refused([&] { return values.get<std::uint64_t>("test.i8"); }, "range");
  refused([&] { return values.get<std::vector<std::uint32_t>>("test.ints"); }, "an array of signed integers");
  refused([&] { return values.get<int>("test.ints"); }, "an array");
  refused([&] { return values.get_or<int>("test.string", 1); }, "a string");
  refused([&] { return file.tensor("absent").name; }, "no tensor 'absent'");
  BOOST_TEST(values.get_or<int>("absent", 7) == 7);
  BOOST_TEST(values.get_or<int>("test.u8", 7) == 200);
  BOOST_TEST(!file.contains("absent"));
}

BOOST_AUTO_TEST_CASE(extents_are_reversed_to_row_major) {
  const gguf_file file(golden);
  BOOST_TEST((file.tensor("int32").extents == std::vector<expunge::index_t>{2, 3, 2}));
  BOOST_TEST((file.tensor("Q4_K").extents == std::vector<expunge::index_t>{3, 512}));
  BOOST_TEST(file.tensors().size() == 17U);
  BOOST_TEST(file.tensors().back().name == "unsupported");
}

BOOST_AUTO_TEST_CASE(version_2_scalars_and_empty_tensors) {
  const temporary_folder folder;
  const auto path = folder.write("small", with_data(gguf_header(3, 0, 2) + tensor("scalar", {}, 24, 0) +
                                                        tensor("empty", {4, 0}, 0, 0) + tensor("w", {3}, 24, 32), 35));
  const gguf_file file(path);
  float scalar = 0;
  file.read_into<float>("scalar", std::span(&scalar, 1));
  BOOST_TEST(scalar == 1.0F);
  BOOST_TEST(file.tensor("empty").bytes.empty());
  BOOST_TEST(gguf_file(folder.write("none", gguf_header(0, 0))).tensors().empty());
  const std::string list = gguf_header(1, 0) + tensor("of four dimensio", {1, 1, 1, 2}, 24, 0);
  BOOST_TEST_REQUIRE(list.size() % 32 == 0U);  // where it ends, the data begins
  BOOST_TEST((gguf_file(folder.write("four", with_data(list, 2))).tensors()[0].extents == std::vector<expunge::index_t>{2, 1, 1, 1}));
}

BOOST_DATA_TEST_CASE(broken_files_are_refused, boost::unit_test::data::make(broken_files)) {
  const temporary_folder folder;
  const auto path = folder.write("broken", sample.content);
  BOOST_CHECK_EXCEPTION(gguf_file{path}, expunge::error, message_contains("broken"));
}

BOOST_AUTO_TEST_CASE(a_name_hides_no_reason) {
  const temporary_folder folder;
  const auto path = folder.write("broken", with_data(gguf_header(1, 0) + tensor(std::string("a\0b\nc", 5), {2}, 99, 0), 8));
  BOOST_CHECK_EXCEPTION(gguf_file{path}, expunge::error, message_contains("tensor 'a b c': unknown element type 99"));
  static_cast<void>(folder.write("broken", with_data(gguf_header(1, 0) + tensor(std::string(1 << 20, 'a'), {2}, 99, 0), 8)));
  BOOST_CHECK_EXCEPTION(gguf_file{path}, expunge::error, [](const expunge::error& e) {  // which a terminal has room for
    return message_contains("broken")(e) && message_contains("aaa': unknown element type 99")(e) && std::string_view(e.what()).size() < 10000;
  });
}

// A changed byte or a truncation of the header either still reads or throws expunge::error.
BOOST_AUTO_TEST_CASE(mutations_never_crash) {
  const std::string original = read_all(golden);
  const std::size_t header_end = original.find("unsupported") + 64;
  BOOST_REQUIRE(header_end < 4096U);
  for_each_mutation(original, header_end, "\x01\x09\x7F\xFF", [](const std::filesystem::path& path) {
    try {
      const gguf_file file(path);
      for (const gguf_tensor& read : file.tensors()) {
        const auto size = element_count(read.extents).value();
        if (size > 10'000) continue;
        std::vector<float> values(static_cast<std::size_t>(size));
        file.read_into<float>(read.name, values);
      }
    } catch (const expunge::error&) {
    }
  });
}

BOOST_AUTO_TEST_SUITE_END()
