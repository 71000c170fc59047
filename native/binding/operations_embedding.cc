// Rows of embedding tables.
#include "binding/operation.h"
#include "binding/product_table.h"
#include "core/dtype.h"

namespace tersor::binding {
namespace {

// tersor_bags by value, so that it can move into a job.
struct Bags {
  tersor_tensor ids, offsets;
  OptionalTensor weights;
  int32_t include_last_offset;
  tersor_bag_mode mode;
  int64_t count;

  tersor_bags view() const { return {&ids, &offsets, weights.get(), include_last_offset, mode}; }
};

Bags read_bags(Arguments& in) {
  const Operand ids = in.input("ids", kI32, 1);
  const Operand offsets = in.input("offsets", kI32 | kI64, 1);
  const OptionalOperand weights = in.optional_input("weights", kF32);
  in.expect_shape(weights, {ids.dim(0)}, {ids});
  const int32_t include_last_offset = in.boolean("includeLastOffset") ? 1 : 0;
  if (include_last_offset != 0 && offsets.dim(0) == 0) {
    in.fail(TERSOR_INVALID_SHAPE, "expected offsets of shape [bags + 1], got [0]");
  }
  const auto mode = static_cast<tersor_bag_mode>(in.integer("mode", TERSOR_BAG_SUM, TERSOR_BAG_MAX));
  if (weights.present && mode != TERSOR_BAG_SUM) {
    in.fail(TERSOR_INVALID_ARGUMENT, "expected weights to be null unless rows are summed, got a tensor");
  }
  return {ids.tensor(),
          offsets.tensor(),
          weights.tensor(),
          include_last_offset,
          mode,
          offsets.dim(0) - include_last_offset};
}

auto gather(Arguments& in) {
  const Operand table = in.input("table", kF32 | kF16 | kBF16, 2);
  const Operand ids = in.input("ids", kI32, 1);
  const Operand y = in.output("y", kF32);
  in.expect_shape(y, {ids.dim(0), table.dim(1)}, {table, ids});
  return
      [table = table.tensor(), ids = ids.tensor(), y = y.tensor()](
          const tersor_backend& backend, tersor_context* context) { return backend.gather(context, &table, &ids, &y); };
}

auto scatter_add(Arguments& in) {
  const Operand rows = in.input("rows", kF32, 2);
  const Operand ids = in.input("ids", kI32);
  const Operand table = in.update("table", kF32);
  in.expect_shape(ids, {rows.dim(0)}, {rows});
  in.expect_shape(table, {kAny, rows.dim(1)}, {rows});
  return [rows = rows.tensor(), ids = ids.tensor(), table = table.tensor()](const tersor_backend& backend,
                                                                            tersor_context* context) {
    return backend.scatter_add(context, &rows, &ids, &table);
  };
}

auto embedding_bag(Arguments& in) {
  const Operand rows = in.input("rows", kF32 | kF16 | kBF16 | kU8, 2);
  const tersor_dtype dtype = rows.tensor().dtype;
  const int64_t columns = in.integer("columns", 1, INT32_MAX);
  const auto bits = static_cast<int32_t>(in.integer("bits", 2, 32));
  const bool fits = dtype == TERSOR_U8 ? bits == 2 || bits == 4 || bits == 8 : bits == bits_of(dtype);
  if (!fits) {
    in.fail(TERSOR_OUT_OF_RANGE, "expected " + (dtype == TERSOR_U8 ? "2, 4 or 8" : std::to_string(bits_of(dtype))) +
                                     " bits for a table of " + name_of(dtype) + ", got " + std::to_string(bits));
  }
  in.expect_shape(rows, {kAny, dtype == TERSOR_U8 ? (columns * bits + 7) / 8 + 8 : columns});
  const Bags bags = read_bags(in);
  const Operand y = in.output("y", kF32);
  in.expect_shape(y, {bags.count, columns}, {rows});
  return [=, table = tersor_embedding{rows.tensor(), columns, bits}, y = y.tensor()](const tersor_backend& backend,
                                                                                     tersor_context* context) {
    const tersor_bags view = bags.view();
    return backend.embedding_bag(context, &table, &view, &y);
  };
}

auto embedding_bag_gradient(Arguments& in) {
  const Operand table = in.input("table", kF32, 2);
  const Bags bags = read_bags(in);
  const Operand bag_gradient = in.input("bagGradient", kF32);
  in.expect_shape(bag_gradient, {bags.count, table.dim(1)}, {table});
  const Operand unique = in.output("unique", kI32);
  in.expect_shape(unique, {bags.ids.shape[0]});
  const Operand rows = in.output("rows", kF32);
  in.expect_shape(rows, {bags.ids.shape[0], table.dim(1)}, {table});
  const Operand unique_count = in.output("uniqueCount", kI32);
  in.expect_shape(unique_count, {1});
  return
      [=, table = table.tensor(), bag_gradient = bag_gradient.tensor(), unique = unique.tensor(), rows = rows.tensor(),
       unique_count = unique_count.tensor()](const tersor_backend& backend, tersor_context* context) {
        const tersor_bags view = bags.view();
        return backend.embedding_bag_gradient(context, &table, &view, &bag_gradient, &unique, &rows, &unique_count);
      };
}

auto update_rows(Arguments& in) {
  const Operand table = in.update("table", kF32, 2);
  const Operand ids = in.input("ids", kI32, 1);
  const Operand gradients = in.input("gradients", kF32);
  in.expect_shape(gradients, {ids.dim(0), table.dim(1)}, {table, ids});
  const OptionalOperand first = in.optional_update("firstState", kF32);
  const OptionalOperand second = in.optional_update("secondState", kF32);
  tersor_row_options options{};
  options.rule = static_cast<tersor_row_rule>(in.integer("rule", TERSOR_ROW_SGD, TERSOR_ROW_ADAM));
  if (first.present != (options.rule != TERSOR_ROW_SGD) || second.present != (options.rule == TERSOR_ROW_ADAM)) {
    in.fail(TERSOR_INVALID_ARGUMENT, "expected the state of rule " + std::to_string(options.rule) +
                                         ": none for 0, one tensor for 1 and 2, two for 3");
  }
  if (options.rule == TERSOR_ROW_ROWWISE_ADAGRAD) {
    in.expect_shape(first, {table.dim(0)}, {table});
  } else {
    in.expect_same_shape(first, table);
  }
  in.expect_same_shape(second, table);
  options.learning_rate = in.non_negative("learningRate");
  options.beta1 = in.below_one("beta1");
  options.beta2 = in.below_one("beta2");
  options.epsilon = in.positive("epsilon");
  options.step = in.integer("step", 1, kMaxSafeInteger);
  return [options, table = table.tensor(), ids = ids.tensor(), gradients = gradients.tensor(), first = first.tensor(),
          second = second.tensor()](const tersor_backend& backend, tersor_context* context) {
    return backend.update_rows(context, &table, &ids, &gradients, first.get(), second.get(), &options);
  };
}

auto product_encode(Arguments& in) {
  const Operand x = in.input("x", kF32, 2);
  const Operand centroids = read_centroids(in);
  in.expect_shape(x, {kAny, columns_of(centroids)}, {centroids});
  const Operand codes = in.output("codes", kProductCodes);
  expect_codes(in, codes, x.dim(0), centroids);
  return [x = x.tensor(), centroids = centroids.tensor(), codes = codes.tensor()](const tersor_backend& backend,
                                                                                  tersor_context* context) {
    return backend.product_encode(context, &x, &centroids, &codes);
  };
}

// tersor_product_table, in argument order.
struct ProductTable {
  tersor_product_table view;
  int64_t rows, columns;
};

ProductTable read_product_table(Arguments& in) {
  const Operand codes = in.input("codes", kProductCodes, 2);
  const Operand centroids = read_centroids(in);
  expect_codes(in, codes, kAny, centroids);
  return {{codes.tensor(), centroids.tensor()}, codes.dim(0), columns_of(centroids)};
}

auto product_decode(Arguments& in) {
  const ProductTable table = read_product_table(in);
  const OptionalOperand ids = in.optional_input("ids", kI32, 1);
  const Operand y = in.output("y", kF32);
  in.expect_shape(y, {ids.present ? ids.operand.dim(0) : table.rows, table.columns});
  return [table, ids = ids.tensor(), y = y.tensor()](const tersor_backend& backend, tersor_context* context) {
    return backend.product_decode(context, &table.view, ids.get(), &y);
  };
}

auto product_bag(Arguments& in) {
  const ProductTable table = read_product_table(in);
  const Bags bags = read_bags(in);
  const Operand y = in.output("y", kF32);
  in.expect_shape(y, {bags.count, table.columns});
  return [table, bags, y = y.tensor()](const tersor_backend& backend, tersor_context* context) {
    const tersor_bags view = bags.view();
    return backend.product_bag(context, &table.view, &view, &y);
  };
}

constexpr Operation kOperations[] = {
    operation<gather>("gather", 3),
    operation<scatter_add>("scatterAdd", 3),
    operation<embedding_bag>("embeddingBag", 9),
    operation<embedding_bag_gradient>("embeddingBagGradient", 10),
    operation<update_rows>("updateRows", 11),
    operation<product_encode>("productEncode", 3),
    operation<product_decode>("productDecode", 4),
    operation<product_bag>("productBag", 8),
};

}  // namespace

std::span<const Operation> embedding_operations() { return kOperations; }

}  // namespace tersor::binding
