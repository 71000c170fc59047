// Vector search.
#include "binding/operation.h"
#include "binding/product_table.h"
#include "core/dtype.h"

namespace tersor::binding {
namespace {

// Products and squared lengths of this many columns fit int32.
constexpr int64_t kMostColumns = 32768;

constexpr DTypes kU1 = set_of({TERSOR_U1});

constexpr tersor_search_format format_of(tersor_dtype dtype) {
  return dtype == TERSOR_F32  ? TERSOR_SEARCH_F32
         : dtype == TERSOR_I8 ? TERSOR_SEARCH_INT8
         : dtype == TERSOR_U4 ? TERSOR_SEARCH_INT4
                              : TERSOR_SEARCH_BINARY;
}

auto pack_search(Arguments& in) {
  const Operand vectors = in.input("vectors", kF32 | kI8 | set_of({TERSOR_U4}) | kU1, 2);
  const int32_t distances = in.boolean("distances") ? 1 : 0;
  const Operand packed = in.output("packed", kU8);
  if (vectors.dim(1) > kMostColumns || vectors.dim(0) > INT32_MAX) {
    in.fail(TERSOR_UNSUPPORTED, "expected at most " + std::to_string(kMostColumns) +
                                    " columns and 2^31 - 1 rows, got " + std::to_string(vectors.dim(1)) + " and " +
                                    std::to_string(vectors.dim(0)));
  }
  const tersor_search_format format = format_of(vectors.tensor().dtype);
  if (format == TERSOR_SEARCH_BINARY && distances != 0) {
    in.fail(TERSOR_INVALID_ARGUMENT, "expected no distances of bits, whose products say as much, got true");
  }
  in.expect_shape(packed, {in.backend().search_bytes(vectors.dim(0), vectors.dim(1), format)});
  return [distances, vectors = vectors.tensor(), packed = packed.tensor()](const tersor_backend& backend,
                                                                           tersor_context* context) {
    return backend.pack_search(context, &vectors, distances, &packed);
  };
}

auto search(Arguments& in) {
  const Operand queries = in.input("queries", kF32 | kI8 | kU1, 2);
  const Operand packed = in.input("packed", kU8, 1);
  const int64_t rows = in.integer("rows", 1, INT32_MAX);
  const int64_t columns = in.integer("columns", 0, kMostColumns);
  const auto format = static_cast<tersor_search_format>(in.integer("format", TERSOR_SEARCH_F32, TERSOR_SEARCH_BINARY));
  const int32_t distances = in.boolean("distances") ? 1 : 0;
  const tersor_dtype dtype = queries.tensor().dtype;
  const tersor_dtype wanted = format == TERSOR_SEARCH_F32      ? TERSOR_F32
                              : format == TERSOR_SEARCH_BINARY ? TERSOR_U1
                                                               : TERSOR_I8;
  if (dtype != wanted) {
    in.fail(TERSOR_INVALID_DTYPE, std::string("expected queries of ") + name_of(wanted) + " for format " +
                                      std::to_string(format) + ", got " + name_of(dtype));
  }
  in.expect_shape(packed, {in.backend().search_bytes(rows, columns, format)});
  in.expect_shape(queries, {kAny, columns});
  const Operand ids = in.output("ids", kI32);
  in.expect_shape(ids, {queries.dim(0), kAny}, {queries});
  if (ids.dim(1) < 1 || ids.dim(1) > rows) {
    in.fail(TERSOR_OUT_OF_RANGE,
            "expected 1 to " + std::to_string(rows) + " results, got " + std::to_string(ids.dim(1)));
  }
  const Operand scores = in.output("scores", format == TERSOR_SEARCH_F32 ? kF32 : kI32);
  in.expect_same_shape(scores, ids);
  const tersor_search_index index{packed.tensor(), rows, columns, format, distances};
  return [index, queries = queries.tensor(), ids = ids.tensor(), scores = scores.tensor()](
             const tersor_backend& backend, tersor_context* context) {
    return backend.search(context, &queries, &index, &ids, &scores);
  };
}

auto pack_product_search(Arguments& in) {
  const Operand codes = in.input("codes", kProductCodes, 2);
  const Operand packed = in.output("packed", kU8);
  if (codes.dim(1) > kMostColumns || codes.dim(0) > INT32_MAX) {
    in.fail(TERSOR_UNSUPPORTED, "expected at most " + std::to_string(kMostColumns) +
                                    " subspaces and 2^31 - 1 rows, got " + std::to_string(codes.dim(1)) + " and " +
                                    std::to_string(codes.dim(0)));
  }
  in.expect_shape(packed,
                  {in.backend().product_search_bytes(codes.dim(0), codes.dim(1), bits_of(codes.tensor().dtype))});
  return [codes = codes.tensor(), packed = packed.tensor()](const tersor_backend& backend, tersor_context* context) {
    return backend.pack_product_search(context, &codes, &packed);
  };
}

auto product_search(Arguments& in) {
  const Operand queries = in.input("queries", kF32, 2);
  const Operand centroids = read_centroids(in);
  const Operand packed = in.input("packed", kU8, 1);
  const int64_t rows = in.integer("rows", 1, INT32_MAX);
  const int32_t distances = in.boolean("distances") ? 1 : 0;
  const int32_t bits = centroids.dim(1) == 256 ? 8 : 4;
  in.expect_shape(queries, {kAny, columns_of(centroids)}, {centroids});
  in.expect_shape(packed, {in.backend().product_search_bytes(rows, centroids.dim(0), bits)}, {centroids});
  const Operand ids = in.output("ids", kI32);
  in.expect_shape(ids, {queries.dim(0), kAny}, {queries});
  if (ids.dim(1) < 1 || ids.dim(1) > rows) {
    in.fail(TERSOR_OUT_OF_RANGE,
            "expected 1 to " + std::to_string(rows) + " results, got " + std::to_string(ids.dim(1)));
  }
  const Operand scores = in.output("scores", kF32);
  in.expect_same_shape(scores, ids);
  const tersor_product_index index{packed.tensor(), rows, centroids.dim(0), bits, distances};
  return [index, queries = queries.tensor(), centroids = centroids.tensor(), ids = ids.tensor(),
          scores = scores.tensor()](const tersor_backend& backend, tersor_context* context) {
    return backend.product_search(context, &queries, &centroids, &index, &ids, &scores);
  };
}

constexpr Operation kOperations[] = {
    operation<pack_search>("packSearch", 3),
    operation<search>("search", 8),
    operation<pack_product_search>("packProductSearch", 2),
    operation<product_search>("productSearch", 7),
};

}  // namespace

std::span<const Operation> search_operations() { return kOperations; }

}  // namespace tersor::binding
