#include "expunge/io/safetensors_writer.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "temporary_folder.hpp"

using namespace expunge::io;

namespace {

tensor_entry entry_of(std::string name, std::vector<expunge::index_t> extents, std::span<const float> values) {
  return {std::move(name), dtype::f32, std::move(extents), std::as_bytes(values)};
}

}  // namespace

BOOST_AUTO_TEST_SUITE(safetensors_writer)

BOOST_AUTO_TEST_CASE(what_is_written_is_read_back) {
  const temporary_folder folder;
  const auto path = folder.path() / "model.safetensors";
  const std::vector<float> values{1, 2, 3, 4, 5, 6};
  const std::vector<std::uint8_t> flags{1, 0, 1};
  const std::vector<double> wide{0.1};
  const std::vector<tensor_entry> entries{
      {"flags", dtype::boolean, {3}, std::as_bytes(std::span(flags))},
      entry_of("model.weight \"quoted\" ü", {2, 3}, values),
      entry_of("empty", {0, 4}, {}),
      {"wide", dtype::f64, {}, std::as_bytes(std::span(wide))},
  };
  write_safetensors(path, entries);

  const safetensors_file file(path);
  BOOST_TEST(file.metadata().at("format") == "pt");
  BOOST_TEST(file.tensors().size() == entries.size());
  for (const tensor_entry& written : entries) {
    const tensor_entry& read = file.tensor(written.name);
    BOOST_TEST((read.type == written.type && read.extents == written.extents));
    BOOST_TEST(std::equal(read.bytes.begin(), read.bytes.end(), written.bytes.begin(), written.bytes.end()));
    BOOST_TEST(reinterpret_cast<std::uintptr_t>(read.bytes.data()) % size_of(read.type) == 0U);
  }
  double wide_back = 0;
  file.read_into<double>("wide", std::span(&wide_back, 1));
  BOOST_TEST(wide_back == 0.1);
}

BOOST_AUTO_TEST_CASE(bytes_can_be_made_one_tensor_at_a_time) {
  const temporary_folder folder;
  const auto path = folder.path() / "made.safetensors";
  const std::vector<float> values{1, 2, 3};
  const std::vector<tensor_entry> entries{{"a", dtype::f32, {3}, {}}, {"b", dtype::f32, {3}, {}}};
  write_safetensors(path, entries, {}, [&](const tensor_entry&) { return std::as_bytes(std::span(values)); });
  const safetensors_file file(path);
  std::vector<float> back(3);
  file.read_into<float>("b", back);
  BOOST_TEST(back == values);
  BOOST_TEST(file.metadata().empty());
}

BOOST_AUTO_TEST_CASE(wrong_entries_leave_no_file) {
  const temporary_folder folder;
  const auto path = folder.path() / "m.safetensors";
  const std::vector<float> values{1, 2, 3};
  const auto refused = [&](const std::vector<tensor_entry>& entries, const std::string& part) {
    BOOST_CHECK_EXCEPTION(write_safetensors(path, entries), expunge::error, message_contains(part));
    BOOST_TEST(std::filesystem::is_empty(folder.path()));
  };
  refused({entry_of("w", {3}, values), entry_of("w", {3}, values)}, "'w' is reserved or used twice");
  refused({entry_of("__metadata__", {3}, values)}, "reserved");
  refused({entry_of("w", {4}, values)}, "'w' of extents [4] takes 16 bytes, not 12");
  refused({entry_of("w", {-3}, values)}, "bad extents");
  refused({entry_of("\xFF", {3}, values)}, "UTF-8");
}

BOOST_AUTO_TEST_SUITE_END()
