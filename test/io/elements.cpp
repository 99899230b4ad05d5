#include "expunge/io/elements.hpp"

#include <span>
#include <vector>

#include <boost/mpl/list.hpp>
#include <boost/test/unit_test.hpp>

using namespace expunge::io;

namespace {

template <class Value, class Stored>
std::vector<Value> decoded(dtype type, const std::vector<Stored>& stored) {
  std::vector<Value> values(stored.size());
  decode_elements<Value>(type, std::as_bytes(std::span(stored)), values);
  return values;
}

}  // namespace

using values = boost::mpl::list<float, double>;

BOOST_AUTO_TEST_SUITE(elements)

BOOST_AUTO_TEST_CASE_TEMPLATE(every_type_is_decoded, Value, values) {
  using list = std::vector<Value>;
  const list expected{1, 0, 3};
  BOOST_TEST((decoded<Value>(dtype::f64, std::vector<double>{1, 0, 3}) == expected));
  BOOST_TEST((decoded<Value>(dtype::f32, std::vector<float>{1, 0, 3}) == expected));
  BOOST_TEST((decoded<Value>(dtype::f16, std::vector<std::uint16_t>{0x3C00, 0, 0x4200}) == expected));
  BOOST_TEST((decoded<Value>(dtype::bf16, std::vector<std::uint16_t>{0x3F80, 0, 0x4040}) == expected));
  BOOST_TEST((decoded<Value>(dtype::i64, std::vector<std::int64_t>{-1, 1LL << 40}) == list{-1, 0x1p40F}));
  BOOST_TEST((decoded<Value>(dtype::i32, std::vector<std::int32_t>{-1, 7}) == list{-1, 7}));
  BOOST_TEST((decoded<Value>(dtype::i16, std::vector<std::int16_t>{-300, 7}) == list{-300, 7}));
  BOOST_TEST((decoded<Value>(dtype::i8, std::vector<std::int8_t>{-128, 7}) == list{-128, 7}));
  BOOST_TEST((decoded<Value>(dtype::u64, std::vector<std::uint64_t>{1ULL << 63U}) == list{0x1p63F}));
  BOOST_TEST((decoded<Value>(dtype::u32, std::vector<std::uint32_t>{1U << 31U}) == list{0x1p31F}));
  BOOST_TEST((decoded<Value>(dtype::u16, std::vector<std::uint16_t>{65535}) == list{65535}));
  BOOST_TEST((decoded<Value>(dtype::u8, std::vector<std::uint8_t>{255}) == list{255}));
  BOOST_TEST((decoded<Value>(dtype::boolean, std::vector<std::uint8_t>{1, 0}) == list{1, 0}));
}

BOOST_AUTO_TEST_CASE(many_are_decoded_in_blocks) {
  std::vector<double> many(200'000);
  for (std::size_t i = 0; i < many.size(); ++i) many[i] = static_cast<double>(i);
  BOOST_TEST((decoded<double>(dtype::f64, many) == many));
}

BOOST_AUTO_TEST_CASE(wrong_sizes_and_types_are_refused) {
  std::vector<float> two(2);
  const std::vector<std::byte> bytes(9);
  BOOST_CHECK_THROW(decode_elements<float>(dtype::f32, bytes, two), expunge::error);
  BOOST_CHECK_THROW(decode_elements<float>(dtype::f32, std::span(bytes).first(4), two), expunge::error);
}

BOOST_AUTO_TEST_CASE(counts_refuse_overflow) {
  using extents = std::vector<expunge::index_t>;
  BOOST_TEST(element_count(extents{}).value() == 1);
  BOOST_TEST(element_count(extents{2, 0, 3}).value() == 0);
  BOOST_TEST(!element_count(extents{2, -1}));
  BOOST_TEST(!element_count(extents{expunge::index_t{1} << 32, expunge::index_t{1} << 31}));
  BOOST_TEST(to_string(extents{2, 3}) == "[2, 3]");
}

BOOST_AUTO_TEST_SUITE_END()
