#include "expunge/io/safetensors.hpp"

#include <cstdint>
#include <cstring>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include "temporary_folder.hpp"

using expunge::io::safetensors_file;

namespace {

const std::string golden = EXPUNGE_SOURCE_DIR "/test/golden/safetensors/every_type.safetensors";

std::string file_of(const std::string& header, std::size_t data_size, std::int64_t lie = 0) {
  const std::uint64_t size = header.size() + static_cast<std::uint64_t>(lie);
  std::string text(sizeof size, '\0');
  std::memcpy(text.data(), &size, sizeof size);
  return text + header + std::string(data_size, '\1');
}

std::string tensor(const std::string& name, const std::string& dtype, const std::string& extents,
                   const std::string& offsets) {
  return "\"" + name + R"(":{"dtype":)" + dtype + R"(,"shape":)" + extents + R"(,"data_offsets":)" + offsets + "}";
}

const std::string f32 = "\"F32\"";
const std::string good = tensor("w", f32, "[2]", "[0,8]");

struct broken_file {
  std::string reason;
  std::string content;
  friend std::ostream& operator<<(std::ostream& out, const broken_file& b) { return out << b.reason; }
};

const std::vector<broken_file> broken_files{
    {"empty file", ""},
    {"short length", "1234567"},
    {"header beyond the file", file_of("{" + good + "}", 8, 1000)},
    {"header length near 2^64", file_of("{" + good + "}", 8, -1'000'000)},
    {"header cut", file_of("{" + good + "}", 8, -3)},
    {"not JSON", file_of("hello", 0)},
    {"empty header", file_of("", 0)},
    {"header is a list", file_of("[]", 0)},
    {"byte order mark", file_of("\xEF\xBB\xBF{" + good + "}", 8)},
    {"space before the header", file_of(" {" + good + "}", 8)},
    {"invalid UTF-8", file_of("{\"\xFF\":1}", 0)},
    {"deep nesting", file_of(std::string(100'000, '['), 0)},
    {"duplicate tensor", file_of("{" + good + "," + good + "}", 8)},
    {"duplicate key in a tensor",
     file_of(R"({"w":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 8)},
    {"tensor is no object", file_of(R"({"w":3})", 0)},
    {"missing key", file_of(R"({"w":{"dtype":"F32","shape":[2]}})", 8)},
    {"additional key", file_of(R"({"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"x":1}})", 8)},
    {"unknown dtype", file_of("{" + tensor("w", "\"F33\"", "[2]", "[0,8]") + "}", 8)},
    {"dtype is a number", file_of("{" + tensor("w", "32", "[2]", "[0,8]") + "}", 8)},
    {"extents are no list", file_of("{" + tensor("w", f32, "2", "[0,8]") + "}", 8)},
    {"negative extent", file_of("{" + tensor("w", f32, "[-2]", "[0,8]") + "}", 8)},
    {"fractional extent", file_of("{" + tensor("w", f32, "[2.0]", "[0,8]") + "}", 8)},
    {"extent is a string", file_of("{" + tensor("w", f32, "[\"2\"]", "[0,8]") + "}", 8)},
    {"extent beyond 2^63", file_of("{" + tensor("w", f32, "[18446744073709551615]", "[0,8]") + "}", 8)},
    {"product of extents overflows", file_of("{" + tensor("w", f32, "[4294967296,4294967296]", "[0,0]") + "}", 0)},
    {"bytes overflow to zero", file_of("{" + tensor("w", f32, "[4611686018427387904]", "[0,0]") + "}", 0)},
    {"one offset", file_of("{" + tensor("w", f32, "[2]", "[8]") + "}", 8)},
    {"negative offset", file_of("{" + tensor("w", f32, "[2]", "[-8,0]") + "}", 8)},
    {"offsets reversed", file_of("{" + tensor("w", f32, "[2]", "[8,0]") + "}", 8)},
    {"offsets are strings", file_of("{" + tensor("w", f32, "[2]", R"(["0","8"])") + "}", 8)},
    {"size does not match", file_of("{" + tensor("w", f32, "[3]", "[0,8]") + "}", 8)},
    {"not a whole element", file_of("{" + tensor("w", f32, "[2]", "[0,9]") + "}", 9)},
    {"bytes outside the file", file_of("{" + good + "}", 7)},
    {"bytes far outside the file",
     file_of("{" + tensor("w", "\"U8\"", "[9223372036854775807]", "[0,9223372036854775807]") + "}", 8)},
    {"overlap", file_of("{" + good + "," + tensor("v", f32, "[2]", "[4,12]") + "}", 12)},
    {"same bytes twice", file_of("{" + good + "," + tensor("v", f32, "[2]", "[0,8]") + "}", 8)},
    {"gap", file_of("{" + good + "," + tensor("v", f32, "[1]", "[12,16]") + "}", 16)},
    {"trailing bytes", file_of("{" + good + "}", 9)},
    {"metadata is a list", file_of(R"({"__metadata__":[]})", 0)},
    {"metadata value is a number", file_of(R"({"__metadata__":{"a":1}})", 0)},
};

}  // namespace

BOOST_AUTO_TEST_SUITE(safetensors)

BOOST_AUTO_TEST_CASE(every_type_of_the_reference_implementation) {
  const safetensors_file file(golden);
  for (const std::string name : {"float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8",
                                 "uint64", "uint32", "uint16", "uint8", "bool"}) {
    std::vector<double> values(6);
    file.read_into<double>(name, values);
    std::vector<double> expected{0, 1, 2, 3, 4, 120};
    if (name == "bool") expected = {0, 1, 1, 1, 1, 1};
    BOOST_TEST(values == expected, name);
    BOOST_TEST((file.tensor(name).extents == std::vector<expunge::index_t>{2, 3}));
  }
  float scalar = 0;
  file.read_into<float>("scalar", std::span(&scalar, 1));
  BOOST_TEST(scalar == -1.5F);
  BOOST_TEST(file.tensor("scalar").extents.empty());
  BOOST_TEST(file.tensor("empty").bytes.empty());
  std::vector<float> counted(24), expected(24);
  std::iota(expected.begin(), expected.end(), 0.0F);
  file.read_into<float>("naïve", counted);
  BOOST_TEST(counted == expected);
  BOOST_TEST(file.metadata().at("note") == "ünïcode");
  BOOST_TEST(file.tensors().size() == 16U);
}

BOOST_AUTO_TEST_CASE(entries_survive_moves) {
  safetensors_file first(golden);
  const auto* address = first.tensor("scalar").bytes.data();
  const safetensors_file second(std::move(first));
  BOOST_TEST(second.tensor("scalar").bytes.data() == address);
}

BOOST_AUTO_TEST_CASE(a_file_without_tensors) {
  const temporary_folder folder;
  BOOST_TEST(safetensors_file(folder.write("none", file_of("{}  ", 0))).tensors().empty());
}

BOOST_AUTO_TEST_CASE(an_empty_tensor_may_stand_behind_one_at_its_place) {
  const temporary_folder folder;
  BOOST_TEST(safetensors_file(folder.write("empty", file_of("{" + good + "," + tensor("e", f32, "[0]", "[0,0]") + "}", 8))).tensors().size() == 2U);
}

BOOST_AUTO_TEST_CASE(a_header_beyond_the_limit_is_not_parsed) {
  const temporary_folder folder;
  const auto path = folder.write("long", file_of("{}", 0, 100'000'001 - 2));
  std::filesystem::resize_file(path, 200'000'000);
  BOOST_CHECK_EXCEPTION(safetensors_file{path}, expunge::error, message_contains("header of 100000001 bytes"));
}

BOOST_AUTO_TEST_CASE(wrong_requests_name_file_and_tensor) {
  const safetensors_file file(golden);
  std::vector<float> values(5);
  BOOST_CHECK_EXCEPTION(file.read_into<float>("float32", values), expunge::error, message_contains("'float32'"));
  BOOST_CHECK_EXCEPTION(static_cast<void>(file.tensor("v")), expunge::error, message_contains("every_type"));
  BOOST_TEST(!file.contains("v"));
}

BOOST_DATA_TEST_CASE(broken_files_are_refused, boost::unit_test::data::make(broken_files)) {
  const temporary_folder folder;
  const auto path = folder.write("broken", sample.content);
  BOOST_CHECK_EXCEPTION(safetensors_file{path}, expunge::error, message_contains("broken"));
}

// A changed byte or a truncation of the header either still reads or throws expunge::error.
BOOST_AUTO_TEST_CASE(mutations_never_crash) {
  const std::string original = read_all(golden);
  const std::size_t header_end = original.find("}}") + 2;
  for_each_mutation(original, header_end, "9\"}\xFF", [](const std::filesystem::path& path) {
    try {
      const safetensors_file file(path);
      for (const auto& entry : file.tensors()) {
        std::vector<double> values(static_cast<std::size_t>(expunge::io::element_count(entry.extents).value()));
        file.read_into<double>(entry.name, values);
      }
    } catch (const expunge::error&) {
    }
  });
}

BOOST_AUTO_TEST_SUITE_END()
