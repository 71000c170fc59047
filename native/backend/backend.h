// The contract between Tersor and a device: one C table of operations.
//
// Rules that hold for every operation unless its comment says otherwise:
//  - Tensors are contiguous, row-major, and live in this backend's memory. The binding has already checked rank, dtype
//  and
//    shape; a backend checks only what it needs values for (ids in range, finite inputs).
//  - Outputs are written whole, never read, and do not overlap inputs unless the comment says "in place allowed".
//  - Same inputs, same bits: for any thread count, on every call.
//  - An operation polls ctx->cancel at least every few milliseconds of work and returns TERSOR_CANCELLED; its outputs
//  are then
//    unspecified. On any other failure it fills ctx->message ("expected ..., got ..., at ...").
//  - Rounding is half to even. Integer accumulation is exact in int32.
#pragma once

#include "core/dtype.h"
#include "core/status.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TERSOR_BACKEND_ABI 1
enum { TERSOR_MAX_RANK = 4, TERSOR_MESSAGE_BYTES = 256 };

typedef struct tersor_tensor {
  void* data;
  tersor_dtype dtype;
  int32_t rank;
  int64_t shape[TERSOR_MAX_RANK];
} tersor_tensor;

typedef struct tersor_context {
  const volatile int32_t* cancel;  // non-zero = stop; may be null
  char message[TERSOR_MESSAGE_BYTES];
} tersor_context;

// gelu is x * Phi(x) with erf, gelu_tanh its approximation by tanh (Hendrycks & Gimpel 2016), silu x / (1 + e^-x)
// (Elfwing et al. 2018). NaN stays.
typedef enum tersor_activation {
  TERSOR_IDENTITY = 0,
  TERSOR_RELU = 1,
  TERSOR_GELU = 2,
  TERSOR_SILU = 3,
  TERSOR_GELU_TANH = 4,
  TERSOR_TANH = 5,
  TERSOR_SIGMOID = 6
} tersor_activation;

// What a product y[M,N] ends with: y = activation(product + bias) + residual. Null where a product takes one: y =
// product.
typedef struct tersor_epilogue {
  const tersor_tensor* bias;  // f32 [N] or null
  tersor_activation activation;
  const tersor_tensor* residual;  // f32 [M,N] or null
} tersor_epilogue;

typedef enum tersor_binary_op { TERSOR_ADD = 0, TERSOR_SUB = 1, TERSOR_MUL = 2 } tersor_binary_op;

typedef enum tersor_reduce_op { TERSOR_SUM = 0, TERSOR_MIN = 1, TERSOR_MAX = 2 } tersor_reduce_op;

// Weight [N, K] in compressed sparse row form.
typedef struct tersor_csr {
  tersor_tensor row_offsets;  // u32 [N + 1], first 0, non-decreasing, last = nonzeros
  tersor_tensor columns;      // u32 [nonzeros], ascending inside a row (each once), < K
  tersor_tensor values;       // [nonzeros]: f32, i8 or u4 (i8 of -8..7, + 8)
  int64_t rows, cols;
} tersor_csr;

// A CSR weight [rows, cols] as pack_csr lays it out for this backend.
typedef struct tersor_packed_csr {
  tersor_tensor packed;  // u8 [as many as csr_packed_bytes says], unchanged since pack_csr
  int64_t rows, cols;
} tersor_packed_csr;

// N:M sparsity: of every M = `group` consecutive columns of a row (the last may be short) at most N = `keep` differ
// from zero. A weight [rows, cols] as pack_nm or pack_nm_int8 lays it out for this backend.
typedef struct tersor_nm {
  tersor_tensor packed;  // u8 [nm_bytes(rows, cols, keep, group)] or [nm_int8_bytes(rows, cols, keep, group, bits)]
  int64_t rows, cols;
  int32_t keep, group;  // 1 <= keep <= group <= 16
  int32_t bits;         // that a value takes: 32 (f32), 8 or 4 (integers)
} tersor_nm;

// Weight [rows, cols] of blocks: block_rows rows (a panel) by block_cols columns, what lies past the weight's edges
// zero. Blocks of integers have four columns.
typedef struct tersor_blocks {
  tersor_tensor panel_offsets;  // u32 [panels + 1], first 0, non-decreasing, last = blocks
  tersor_tensor columns;        // u32 [blocks]: first column / block_cols, ascending inside a panel
  // [blocks * block_cols * block_rows]: f32, of a block column after column, or i8, row after row. Or u8, half as many:
  // i8 of -8..7, + 8, where byte i of a block holds number i and, in its high bits, the one half a block after it.
  tersor_tensor values;
  int64_t rows, cols;
  int32_t block_rows;  // 16 or 32
  int32_t block_cols;  // 1 or 4
} tersor_blocks;

// product = scale[n] * input_scale * sum_k (x[m,k] - input_zero_point) * w[n,k], then the epilogue; all in f32 after
// the exact sum.
typedef struct tersor_int8_epilogue {
  float input_scale;
  int32_t input_zero_point;       // 0..255
  const tersor_tensor* scales;    // f32 [N] or [1]
  const tersor_tensor* row_sums;  // i32 [N]: sum_k w[n,k]
  tersor_epilogue after;
} tersor_int8_epilogue;

// Columns of the longest int8 product: a sum of as many u8 by i8 products, less a zero point's share, fits in int32.
enum { TERSOR_LONGEST_INT8_SUM = 2147483647 / (255 * 128) };

// A weight i8 [rows, cols] as pack_int8 lays it out for this backend, with the sums of its rows.
typedef struct tersor_int8_weight {
  tersor_tensor packed;  // u8 [int8_bytes(rows, cols)]
  int64_t rows, cols;
} tersor_int8_weight;

// How 8-bit activations stand for numbers: scale * (code - zero_point), with a code's own range for the zero point.
typedef struct tersor_int8_codes {
  float scale;
  int32_t zero_point;
} tersor_int8_codes;

// How codes stand for real numbers: x^ = scale * (code - zero_point) or, when `biases` is set, x^ = scale * code +
// bias. Parameters are f32 [rows, groups], group = cols / groups consecutive columns of a row (the last may be short);
// [1, 1] is per tensor, groups = 1 is per channel.
typedef struct tersor_affine {
  const tersor_tensor* scales;       // f32 [R, G], R = rows or 1
  const tersor_tensor* zero_points;  // i32 [R, G] or null (= 0)
  const tersor_tensor* biases;       // f32 [R, G] or null; excludes zero_points
  int32_t code_min, code_max;        // inclusive range of codes
  int64_t group_size;                // columns per group; >= cols means one group
} tersor_affine;

// How codes stand for the values of a codebook: x^ = scale * values[code], with scales for groups of columns as in
// tersor_affine.
typedef struct tersor_codebook {
  const tersor_tensor* values;  // f32 [2^bits of a code]: finite, none smaller than the one before
  const tersor_tensor* scales;  // f32 [R, G], R = rows or 1
  int64_t group_size;           // columns per group; >= cols means one group
} tersor_codebook;

// Rows [R, subspaces * width] in product codes (Jegou, Douze & Schmid 2011): columns are cut into slices of equal
// width, and of each slice a row has the number of a centroid.
typedef struct tersor_product_table {
  tersor_tensor codes;      // u8 or u4 [R, subspaces]
  tersor_tensor centroids;  // f32 [subspaces, 256 or 16, width]
} tersor_product_table;

// Product codes [rows, subspaces] as pack_product_search lays them out for this backend.
typedef struct tersor_product_index {
  tersor_tensor packed;  // u8 [product_search_bytes(rows, subspaces, bits)]
  int64_t rows, subspaces;
  int32_t bits;       // of a code: 8 or 4
  int32_t distances;  // 1: scores are 2 q.x - x.x
} tersor_product_index;

// A dense weight [rows, cols] as pack_gemm lays it out for this backend.
typedef struct tersor_packed {
  tersor_tensor panels;  // f32 or bf16 [packed_elements(rows, cols, that dtype)]
  int64_t rows, cols;
} tersor_packed;

// A weight [rows, cols] of low rank, left [rows, rank] * right [rank, cols], as pack_low_rank lays it out for this
// backend.
typedef struct tersor_low_rank {
  tersor_tensor packed;  // f32 [low_rank_elements(rows, cols, rank)]
  int64_t rows, cols, rank;
} tersor_low_rank;

// A quantized weight [rows, cols] as pack_quantized lays it out for this backend.
typedef struct tersor_quantized {
  tersor_tensor packed;  // u8 [quantized_bytes(rows, cols, bits, group_size, has_offsets)]
  int64_t rows, cols;
  int32_t bits;  // of the codes that were packed: 1, 2, 3, 4 or 8
  int64_t group_size;
  int32_t has_offsets;  // 1 when the codes' affine has biases
} tersor_quantized;

// Where gptq takes the parameters of its codes from.
typedef enum tersor_code_scales {
  TERSOR_SCALES_GIVEN = 0,      // the affine's; asymmetric, symmetric, any groups
  TERSOR_SCALES_SYMMETRIC = 1,  // found from each group when its turn comes: scale = largest |w| * 2 / (codes - 1)
  TERSOR_SCALES_ASYMMETRIC = 2  // and so is the zero point: codes cover [min(w, 0), max(w, 0)]
} tersor_code_scales;

typedef struct tersor_gptq_options {
  float damping;             // share of the mean of the hessian's diagonal that is added to it
  int32_t activation_order;  // compress columns in order of falling hessian[j, j] (not with scales to be found)
  tersor_code_scales scales;
} tersor_gptq_options;

// An embedding table [R, columns]. Codes are unsigned and bit-packed from the start of a row, which ends in its scale
// and its bias (f32): value = scale * code + bias, so that a look-up touches one place of memory (the fused rows of
// FBGEMM, with both parameters in f32).
typedef struct tersor_embedding {
  tersor_tensor rows;  // f32, f16, bf16 [R, columns] or u8 [R, bytes of the codes + 8]
  int64_t columns;
  int32_t bits;  // an element: 32 (f32), 16 (f16, bf16) or of a code: 8, 4, 2
} tersor_embedding;

typedef enum tersor_bag_mode { TERSOR_BAG_SUM = 0, TERSOR_BAG_MEAN = 1, TERSOR_BAG_MAX = 2 } tersor_bag_mode;

// Bags of look-ups: bag b holds ids [offsets[b], offsets[b + 1]); the last one ends with the ids, and so does not need
// an offset of its own unless `include_last_offset`.
typedef struct tersor_bags {
  const tersor_tensor* ids;      // i32 [n]
  const tersor_tensor* offsets;  // i32 or i64 [bags] or [bags + 1]: first 0, non-decreasing, at most n
  const tersor_tensor* weights;  // f32 [n] or null; only with TERSOR_BAG_SUM
  int32_t include_last_offset;   // 1: offsets are [bags + 1] and the last equals n
  tersor_bag_mode mode;
} tersor_bags;

// Normalization of each row: layer norm, or RMS norm, which takes the mean for 0 and usually has no bias.
typedef struct tersor_normalization {
  const tersor_tensor* weight;  // f32 [columns] or null (= 1)
  const tersor_tensor* bias;    // f32 [columns] or null (= 0)
  float epsilon;                // added to the variance
  int32_t center;               // subtract the mean
} tersor_normalization;

// Attention of `heads` heads, whose columns lie side by side in a row. With fewer key heads each serves heads /
// key_heads query heads that follow each other (grouped-query attention).
typedef struct tersor_attention {
  int64_t heads, key_heads;  // heads is a multiple of key_heads
  float scale;               // of the scores q k^T
  int32_t causal;            // query i reads keys up to i + m - n: the last query reads all
  const tersor_tensor*
      mask;  // u8 [b, m], batch a multiple of b, a row for batch / b neighbours; 0: the key does not exist; or null
} tersor_attention;

// Pairs are down, across.
typedef struct tersor_convolution {
  int32_t stride[2], padding[2], dilation[2];  // padding: rows and columns of zeros on each side
  int64_t groups;                              // parts that channels are cut into, each convolved by itself
} tersor_convolution;

typedef enum tersor_pool_mode { TERSOR_POOL_MAX = 0, TERSOR_POOL_MEAN = 1 } tersor_pool_mode;

typedef struct tersor_pooling {
  tersor_pool_mode mode;
  int32_t kernel[2], stride[2], padding[2];  // padding < kernel, so that every window has a pixel
  int32_t count_padding;                     // a mean divides by the size of the kernel, not by the pixels it met
} tersor_pooling;

typedef struct tersor_batch_norm {
  const tersor_tensor *mean, *variance;  // f32 [channels]
  const tersor_tensor *weight, *bias;    // f32 [channels] or null: 1 and 0
  float epsilon;                         // added to the variance
} tersor_batch_norm;

typedef struct tersor_sgd_options {
  float learning_rate, momentum, weight_decay;
  int32_t nesterov;
  float max_norm;  // gradients, taken together as one vector, are scaled down to this length; 0: as they are
} tersor_sgd_options;

typedef struct tersor_sparse_gpt_options {
  float damping;     // as gptq
  float sparsity;    // share that goes of every 128 columns, 0..1; not looked at beside a pattern
  int32_t keep, of;  // keep `keep` of every `of` columns in each row; 0, 0: no pattern
} tersor_sparse_gpt_options;

typedef struct tersor_kmeans_options {
  uint64_t seed;
  int32_t iterations;  // at most; it ends when no point changes its cluster
} tersor_kmeans_options;

// Rows and columns of the largest matrix of svd_batched.
enum { TERSOR_SVD_BATCHED_LIMIT = 64 };

typedef struct tersor_svd_randomized_options {
  uint64_t seed;
  int32_t oversampling;  // columns of the random basis beyond the rank, >= 0
  int32_t power;         // times that a^T a is applied, the first perhaps by half, >= 1
} tersor_svd_randomized_options;

// How rows that a batch touched are updated; v is the first state tensor, m and v of Adam are the first and the second.
typedef enum tersor_row_rule {
  TERSOR_ROW_SGD = 0,              // p -= lr * g
  TERSOR_ROW_ADAGRAD = 1,          // v += g^2; p -= lr * g / (sqrt(v) + epsilon); v as the table
  TERSOR_ROW_ROWWISE_ADAGRAD = 2,  // v += mean of g^2 over the row; v [rows]
  TERSOR_ROW_ADAM = 3              // as adam_step without decay; m and v as the table
} tersor_row_rule;

typedef struct tersor_row_options {
  tersor_row_rule rule;
  float learning_rate, beta1, beta2, epsilon;
  int64_t step;  // 1-based
} tersor_row_options;

// How many of the values seen lie where: bin i counts those in [(first + i) * 2^exponent, (first + i + 1) *
// 2^exponent). The bins are the narrowest that hold every value seen and 0, so that all but half of them are between
// the extremes.
enum { TERSOR_HISTOGRAM_BINS = 4096 };

typedef struct tersor_histogram {
  tersor_tensor counts;  // i64 [TERSOR_HISTOGRAM_BINS]
  tersor_tensor grid;    // i32 [2]: exponent and first
  tersor_tensor range;  // f32 [2]: extremes of 0 and the values seen; NaN before the first, when the rest means nothing
} tersor_histogram;

typedef enum tersor_search_format {
  TERSOR_SEARCH_F32 = 0,
  TERSOR_SEARCH_INT8 = 1,   // i8, -127..127
  TERSOR_SEARCH_INT4 = 2,   // u4, standing for code - 8
  TERSOR_SEARCH_BINARY = 3  // u1
} tersor_search_format;

// Vectors [rows, columns] as pack_search lays them out for this backend.
typedef struct tersor_search_index {
  tersor_tensor packed;  // u8 [search_bytes(rows, columns, format)]
  int64_t rows, columns;
  tersor_search_format format;
  int32_t distances;  // 1 when it was packed for distances
} tersor_search_index;

// How far gemm_quantized may round x: to 2^-24, 2^-15.99 or 2^-8 (half a step) of the largest magnitude among the
// columns of its row that share a scale. Those are the columns of a group, when it has 128 or more (at most 256 at a
// time), else of as many groups as fit in 256 columns. A device may round less.
typedef enum tersor_input_precision {
  TERSOR_INPUT_F32 = 0,
  TERSOR_INPUT_INT16 = 1,
  TERSOR_INPUT_INT8 = 2
} tersor_input_precision;

// The weight that one of low rank is added to: one of three, the others null.
typedef struct tersor_addend {
  const tersor_packed* dense;
  const tersor_quantized* quantized;
  tersor_input_precision precision;  // of a product with `quantized`
  const tersor_int8_weight* int8;    // with `scales`, f32 [rows] or [1]; each row of x gets codes of its own
  const tersor_tensor* scales;
} tersor_addend;

typedef struct tersor_adam_options {
  float learning_rate, beta1, beta2, epsilon;
  float weight_decay;       // added to the gradient (L2) unless decoupled
  int32_t decoupled_decay;  // AdamW
  int64_t step;             // 1-based
  float max_norm;           // as in tersor_sgd_options
} tersor_adam_options;

typedef struct tersor_rms_options {
  float learning_rate;
  float decay;  // of the mean of squares (RMSprop), 0..1; 1: their sum (Adagrad)
  float epsilon, weight_decay;
  float max_norm;  // as in tersor_sgd_options
} tersor_rms_options;

typedef struct tersor_backend {
  uint32_t abi;
  const char* name;  // "cpu", "cuda", ...

  // --- memory ---
  tersor_status (*allocate)(tersor_context*, size_t bytes, void** out);  // 64-byte aligned, uninitialised
  void (*release)(void* data, size_t bytes);
  tersor_status (*upload)(tersor_context*, void* device, const void* host, size_t bytes);
  tersor_status (*download)(tersor_context*, void* host, const void* device, size_t bytes);
  tersor_status (*copy)(tersor_context*, void* to, const void* from, size_t bytes);
  tersor_status (*fill)(tersor_context*, const tersor_tensor* y, double value);  // any byte-sized dtype; saturates
  tersor_status (*cast)(
      tersor_context*, const tersor_tensor* x,
      const tersor_tensor* y);  // f32 <-> f16, bf16, i8, u8, i32; same shape; integers saturate and take NaN as 0

  // --- random: Philox4x32-10, element i of the stream (seed, offset) whatever the thread count ---
  tersor_status (*random_uniform)(tersor_context*, uint64_t seed, uint64_t offset, float low, float high,
                                  const tersor_tensor* y);
  tersor_status (*random_normal)(tersor_context*, uint64_t seed, uint64_t offset, float mean, float deviation,
                                 const tersor_tensor* y);

  // --- dense products ---
  // c[M,N] = epilogue(op(a) * op(b) + (accumulate ? c : 0)), f32. op transposes when the flag is set.
  tersor_status (*gemm)(tersor_context*, const tersor_tensor* a, int32_t transpose_a, const tersor_tensor* b,
                        int32_t transpose_b, const tersor_epilogue*, int32_t accumulate, const tersor_tensor* c);
  // Elements of a packed weight of f32 or bf16.
  int64_t (*packed_elements)(int64_t rows, int64_t cols, tersor_dtype);
  // Lays out w f32 or bf16 [rows, cols], in its own dtype.
  tersor_status (*pack_gemm)(tersor_context*, const tersor_tensor* w, const tersor_tensor* panels);
  // y[M,N] = epilogue(x[M,K] * w^T), f32; a bf16 weight is multiplied as the f32 numbers that it stands for.
  tersor_status (*gemm_packed)(tersor_context*, const tersor_tensor* x, const tersor_packed* w, const tersor_epilogue*,
                               const tersor_tensor* y);
  // h[N,N] = x^T * x + (accumulate ? h : 0), f32 [M,N]: on the diagonal and right of it. What is left of it is
  // unspecified, unless `mirror` is set, which copies the other half there.
  tersor_status (*gram)(tersor_context*, const tersor_tensor* x, int32_t accumulate, int32_t mirror,
                        const tersor_tensor* h);

  // Bytes of a packed int8 weight.
  int64_t (*int8_bytes)(int64_t rows, int64_t cols);
  // Lays out w i8 [N,K] for the products below.
  tersor_status (*pack_int8)(tersor_context*, const tersor_tensor* w, const tersor_tensor* packed);
  // y[M,N] = epilogue(float(sum_k (x[m,k] - input.zero_point) * w[n,k]) * (input.scale * scale[n])), the sum exact.
  // x: codes u8 or i8, or f32 that is quantized to u8 as `quantize` does it; NaN or Inf in it is an error. When `input`
  // is null x is f32 and each row gets codes u8 of its own: low = min(row, 0), high = max(row, 0), scale = (high - low)
  // / 255 (1 where that is no normal number), zero point = round(-low / scale); the product of a row with NaN or
  // infinity is NaN then, which does not touch other rows.
  // scales: f32 [N] or [1].
  // y: f32, or u8 with `output` (else null): the result is quantized once more, NaN as the smallest code.
  tersor_status (*gemm_int8)(tersor_context*, const tersor_tensor* x, const tersor_int8_weight* w,
                             const tersor_int8_codes* input, const tersor_tensor* scales, const tersor_epilogue*,
                             const tersor_int8_codes* output, const tersor_tensor* y);

  // Bytes of a packed weight.
  int64_t (*quantized_bytes)(int64_t rows, int64_t cols, int32_t bits, int64_t group_size, int32_t has_offsets);
  // Lays out codes i8, u8 or bit-packed [rows, cols] for gemm_quantized. Zero points must be codes of the type.
  tersor_status (*pack_quantized)(tersor_context*, const tersor_tensor* codes, const tersor_affine*,
                                  const tersor_tensor* packed);
  // Lays out codes u2 to u4 [rows, cols] of a codebook for gemm_quantized, in quantized_bytes without offsets.
  tersor_status (*pack_codebook)(tersor_context*, const tersor_tensor* codes, const tersor_codebook*,
                                 const tersor_tensor* packed);
  // y[M,N] = epilogue(x[M,K] * w^T), f32, with the rounding of an f32 product with the dequantized weight beside that
  // of x. TERSOR_INPUT_INT8 may also round a codebook's values to half a step of 127 in the largest of them. NaN and
  // infinity in a row of x give what f32 arithmetic gives, and do not touch other rows.
  tersor_status (*gemm_quantized)(tersor_context*, const tersor_tensor* x, tersor_input_precision,
                                  const tersor_quantized* w, const tersor_epilogue*, const tersor_tensor* y);

  // Elements of a packed weight of low rank.
  int64_t (*low_rank_elements)(int64_t rows, int64_t cols, int64_t rank);
  // Lays out left f32 [rows, rank] and right f32 [rank, cols].
  tersor_status (*pack_low_rank)(tersor_context*, const tersor_tensor* left, const tersor_tensor* right,
                                 const tersor_tensor* packed);
  // y[M,N] = epilogue(x * addend^T + (x * right^T) * left^T), x f32 [M,K]: the addend's product as gemm_packed,
  // gemm_quantized or gemm_int8 makes it, or none when it is null, and the other in f32, added to its sums
  // before the epilogue.
  tersor_status (*low_rank_gemm)(tersor_context*, const tersor_tensor* x, const tersor_addend*,
                                 const tersor_low_rank* w, const tersor_epilogue*, const tersor_tensor* y);

  // --- sparse products ---
  // Rows of at most 2^31 / (255 * 128) nonzeros when values are integers. bytes i64 [1]: of what pack_csr writes. u32
  // values, the numbers 1 ... nonzeros in any order, make a pattern: each is where the value of its nonzero stands,
  // counted from 1.
  tersor_status (*csr_packed_bytes)(tersor_context*, const tersor_csr* w, const tersor_tensor* bytes);
  tersor_status (*pack_csr)(tersor_context*, const tersor_csr* w, const tersor_tensor* packed);
  // y[M,N] = epilogue(x[M,K] * w^T), f32. NaN and infinity in x reach the rows of w that have a nonzero for them.
  tersor_status (*csr_gemm)(tersor_context*, const tersor_tensor* x, const tersor_packed_csr* w, const tersor_epilogue*,
                            const tersor_tensor* y);
  // y[M,N] f32 from x u8 [M,K] and w of integers: the same bits as gemm_int8 gives with the dense weight.
  tersor_status (*csr_gemm_int8)(tersor_context*, const tersor_tensor* x, const tersor_packed_csr* w,
                                 const tersor_int8_epilogue*, const tersor_tensor* y);
  // packed, of as many bytes as the pattern: what pack_csr makes of the weight f32 with `values` [nonzeros] in these
  // places.
  tersor_status (*csr_set_values)(tersor_context*, const tersor_packed_csr* pattern, const tersor_tensor* values,
                                  const tersor_tensor* packed);
  // Sampled dense-dense product (SDDMM), the gradient of a sparse weight: values[place of (n, k)] = sum_m dy[m,n] *
  // x[m,k] for the nonzeros of the pattern, from dy f32 [M,N] and x f32 [M,K].
  tersor_status (*csr_sddmm)(tersor_context*, const tersor_tensor* dy, const tersor_tensor* x,
                             const tersor_packed_csr* pattern, const tersor_tensor* values);

  // Bytes of a packed N:M weight.
  int64_t (*nm_bytes)(int64_t rows, int64_t cols, int32_t keep, int32_t group);
  // Lays out w f32 [rows, cols]. More nonzeros in a group than `keep` are an error.
  tersor_status (*pack_nm)(tersor_context*, const tersor_tensor* w, int32_t keep, int32_t group,
                           const tersor_tensor* packed);
  // y[i] = row ids[i] of the weight; ids i32 or null = every row.
  tersor_status (*unpack_nm)(tersor_context*, const tersor_nm* w, const tersor_tensor* ids, const tersor_tensor* y);
  // y[M,N] = epilogue(x[M,K] * w^T), f32. Every group of a row has `keep` places, some perhaps for a column that is
  // zero: NaN and infinity in x reach the outputs of the rows that have a place for their column, as a product with 0
  // does.
  tersor_status (*nm_gemm)(tersor_context*, const tersor_tensor* x, const tersor_nm* w, const tersor_epilogue*,
                           const tersor_tensor* y);

  // The same for weights i8 [rows, cols], to the bit what gemm_int8 gives with the dense weight; y is f32, of
  // unpack_nm_int8 i8. bits: 8, or 4 for a weight of -8..7.
  int64_t (*nm_int8_bytes)(int64_t rows, int64_t cols, int32_t keep, int32_t group, int32_t bits);
  tersor_status (*pack_nm_int8)(tersor_context*, const tersor_tensor* w, int32_t keep, int32_t group, int32_t bits,
                                const tersor_tensor* packed);
  tersor_status (*unpack_nm_int8)(tersor_context*, const tersor_nm* w, const tersor_tensor* ids,
                                  const tersor_tensor* y);
  tersor_status (*nm_gemm_int8)(tersor_context*, const tersor_tensor* x, const tersor_nm* w,
                                const tersor_int8_codes* input, const tersor_tensor* scales, const tersor_epilogue*,
                                const tersor_tensor* y);

  // y[M,N] = epilogue(x[M,K] * w^T), f32. NaN and infinity in x reach the rows of w that have a block for their column.
  tersor_status (*block_gemm)(tersor_context*, const tersor_tensor* x, const tersor_blocks* w, const tersor_epilogue*,
                              const tersor_tensor* y);
  // Of integers, to the bit what gemm_int8 gives with the dense weight; y is f32. row_sums: i32 [N], the sums of
  // the weight's rows.
  tersor_status (*block_gemm_int8)(tersor_context*, const tersor_tensor* x, const tersor_blocks* w,
                                   const tersor_int8_codes* input, const tersor_tensor* scales,
                                   const tersor_tensor* row_sums, const tersor_epilogue*, const tersor_tensor* y);

  // --- decompositions ---
  // Thin SVD a[m,n] = u[m,k] * diag(s[k]) * vt[k,n], k = min(m,n), s descending; sign: the largest |element| of each u
  // column is positive.
  tersor_status (*svd)(tersor_context*, const tersor_tensor* a, const tersor_tensor* u, const tersor_tensor* s,
                       const tersor_tensor* vt);
  // The k largest singular values and their vectors, k <= min(m,n) by the shapes, nearly: a[m,n] ~ u[m,k] * diag(s[k])
  // * vt[k,n] by a randomized subspace iteration (Halko, Martinsson & Tropp 2011). u and v are orthonormal whatever a
  // is; order and signs as svd.
  tersor_status (*svd_randomized)(tersor_context*, const tersor_tensor* a, const tersor_svd_randomized_options*,
                                  const tersor_tensor* u, const tersor_tensor* s, const tersor_tensor* vt);

  // svd of every matrix of a[b,m,n], m and n at most TERSOR_SVD_BATCHED_LIMIT, by one-sided Jacobi rotations: u[b,m,k],
  // s[b,k], vt[b,k,n]. u and v are orthonormal whatever the rank is; no rank at all gives columns of the identity.
  tersor_status (*svd_batched)(tersor_context*, const tersor_tensor* a, const tersor_tensor* u, const tersor_tensor* s,
                               const tersor_tensor* vt);

  // --- elementwise and reductions (f32) ---
  // y = activation(x). In place allowed.
  tersor_status (*activate)(tersor_context*, tersor_activation, const tersor_tensor* x, const tersor_tensor* y);
  // dx = activation'(x) dy; the slope of relu at 0 is 0. In place allowed on dy.
  tersor_status (*activate_gradient)(tersor_context*, tersor_activation, const tersor_tensor* x,
                                     const tersor_tensor* dy, const tersor_tensor* dx);
  tersor_status (*scale)(tersor_context*, const tersor_tensor* x, float factor,
                         const tersor_tensor* y);  // in place allowed
  // y = op(a, b); b has a's shape or is [columns of a] and is repeated for every row. In place allowed.
  tersor_status (*binary)(tersor_context*, tersor_binary_op, const tersor_tensor* a, const tersor_tensor* b,
                          const tersor_tensor* y);
  // axis 0: y[cols] over rows; axis 1: y[rows] over columns; axis -1: y[1] over everything. x rank 1 or 2.
  tersor_status (*reduce)(tersor_context*, tersor_reduce_op, const tersor_tensor* x, int32_t axis,
                          const tersor_tensor* y);
  // y[:, y_begin + j] = x[:, x_begin + j] for j in [0, count); the other columns of y keep their values.
  tersor_status (*copy_columns)(tersor_context*, const tersor_tensor* x, int64_t x_begin, const tersor_tensor* y,
                                int64_t y_begin, int64_t count);
  tersor_status (*softmax)(tersor_context*, const tersor_tensor* x,
                           const tersor_tensor* y);  // over the last dimension; in place allowed
  // dx = y (dy - sum(y dy)) over the last dimension. In place allowed on dy.
  tersor_status (*softmax_gradient)(tersor_context*, const tersor_tensor* y, const tersor_tensor* dy,
                                    const tersor_tensor* dx);
  tersor_status (*log_softmax)(tersor_context*, const tersor_tensor* x,
                               const tersor_tensor* y);  // over the last dimension; in place allowed
  // dx = dy - exp(y) sum(dy) over the last dimension. In place allowed on dy.
  tersor_status (*log_softmax_gradient)(tersor_context*, const tersor_tensor* y, const tersor_tensor* dy,
                                        const tersor_tensor* dx);
  // y = (x - mean) / sqrt(variance + epsilon) * weight + bias over the last dimension, which is not empty. In place
  // allowed.
  tersor_status (*normalize)(tersor_context*, const tersor_tensor* x, const tersor_normalization*,
                             const tersor_tensor* y);
  // Gradients of normalize; each may be null. In place allowed of dx on dy.
  tersor_status (*normalize_gradient)(tersor_context*, const tersor_tensor* x, const tersor_normalization*,
                                      const tersor_tensor* dy, const tersor_tensor* dx,
                                      const tersor_tensor* weight_gradient, const tersor_tensor* bias_gradient);

  // --- attention: no n x m matrix is made ---
  // y[batch, n, heads * e] = softmax(scale q k^T) v, head by head, from q [batch, n, heads * d], k [batch, m, key_heads
  // * d] and v [batch, m, key_heads * e]; a query that reads no key gets zeros. log_sums (f32 [batch, heads, n] or
  // null): the logarithms of the softmax's sums, which the gradient needs. Masked keys are not read; behind the causal
  // limit an infinity or NaN in v may reach a query as 0 * infinity.
  tersor_status (*attention)(tersor_context*, const tersor_tensor* q, const tersor_tensor* k, const tersor_tensor* v,
                             const tersor_attention*, const tersor_tensor* y, const tersor_tensor* log_sums);
  tersor_status (*attention_gradient)(tersor_context*, const tersor_tensor* q, const tersor_tensor* k,
                                      const tersor_tensor* v, const tersor_attention*, const tersor_tensor* y,
                                      const tersor_tensor* log_sums, const tersor_tensor* dy, const tersor_tensor* dq,
                                      const tersor_tensor* dk, const tersor_tensor* dv);

  // --- images f32 [n, channels, height, width] ---
  // y[n, out, oh, ow] = activation(w * x + bias[out]), the cross-correlation of x with w [out, channels / groups, kh,
  // kw]; oh = (h + 2 padding - dilation (kh - 1) - 1) / stride + 1, rounded down and at least 1. bias may be null.
  tersor_status (*conv2d)(tersor_context*, const tersor_tensor* x, const tersor_tensor* w, const tersor_tensor* bias,
                          const tersor_convolution*, tersor_activation, const tersor_tensor* y);
  // Gradients of the product and of the bias; each may be null.
  tersor_status (*conv2d_gradient)(tersor_context*, const tersor_tensor* x, const tersor_tensor* w,
                                   const tersor_convolution*, const tersor_tensor* dy, const tersor_tensor* dx,
                                   const tersor_tensor* dw, const tersor_tensor* dbias);
  // y[n, channels, oh, ow]: maximum or mean of each window, oh = (h + 2 padding - kh) / stride + 1. A maximum passes
  // over what is outside the image; a NaN in a window gives NaN.
  tersor_status (*pool2d)(tersor_context*, const tersor_tensor* x, const tersor_pooling*, const tersor_tensor* y);
  // A maximum's gradient goes to the first pixel of the window that has it, or to its first NaN.
  tersor_status (*pool2d_gradient)(tersor_context*, const tersor_tensor* x, const tersor_pooling*,
                                   const tersor_tensor* dy, const tersor_tensor* dx);
  // Mean and variance (divided by their number) of each channel over images and pixels, of which there is at least one,
  // into f32 [channels].
  tersor_status (*channel_moments)(tersor_context*, const tersor_tensor* x, const tersor_tensor* mean,
                                   const tersor_tensor* variance);
  // y = (x - mean) / sqrt(variance + epsilon) * weight + bias, channel by channel.
  tersor_status (*batch_norm2d)(tersor_context*, const tersor_tensor* x, const tersor_batch_norm*,
                                const tersor_tensor* y);
  // `of_batch`: mean and variance are x's own moments and follow it; else they are constants. Each gradient may be
  // null.
  tersor_status (*batch_norm2d_gradient)(tersor_context*, const tersor_tensor* x, const tersor_batch_norm*,
                                         int32_t of_batch, const tersor_tensor* dy, const tersor_tensor* dx,
                                         const tersor_tensor* weight_gradient, const tersor_tensor* bias_gradient);

  // --- losses: mean over rows into loss[1]; gradient of that mean with respect to the logits, or null ---
  tersor_status (*cross_entropy)(tersor_context*, const tersor_tensor* logits,
                                 const tersor_tensor* labels /* i32 [rows] */, const tersor_tensor* loss,
                                 const tersor_tensor* gradient);
  // tau^2 * KL(softmax(teacher/tau) || softmax(student/tau)) (Hinton et al. 2015).
  tersor_status (*distillation)(tersor_context*, const tersor_tensor* student, const tersor_tensor* teacher,
                                float temperature, const tersor_tensor* loss, const tersor_tensor* gradient);

  // --- embedding rows ---
  tersor_status (*gather)(tersor_context*, const tersor_tensor* table /* f32, f16, bf16 [R,C] */,
                          const tersor_tensor* ids /* i32 [n] */, const tersor_tensor* y);
  // table[ids[i]] += rows[i], in order of i for equal ids.
  tersor_status (*scatter_add)(tersor_context*, const tersor_tensor* rows, const tersor_tensor* ids,
                               const tersor_tensor* table);
  // Codes i8, u8 or bit-packed [R, C] with one group a row (or one in all) as rows of a tersor_embedding of `bits` a
  // code, at least as many as the codes have. A zero point becomes a bias of -scale * zero_point, rounded to f32.
  tersor_status (*fuse_rows)(tersor_context*, const tersor_tensor* codes, const tersor_affine*, int32_t bits,
                             const tersor_tensor* rows);
  // y[bags, columns] f32: sum, mean or maximum of the rows of each bag; zeros for an empty bag. A NaN among them gives
  // NaN.
  tersor_status (*embedding_bag)(tersor_context*, const tersor_embedding* table, const tersor_bags*,
                                 const tersor_tensor* y);
  // The gradient of an f32 table [R, C] from that of its bags [bags, C], for the rows that were looked up: their ids,
  // ascending, in the first unique_count[0] of unique i32 [n] and their gradients in as many rows of f32 [n, C]; the
  // rest is 0. Look-ups of one row are added in their order; a maximum's gradient goes to the first look-up that has
  // it.
  tersor_status (*embedding_bag_gradient)(tersor_context*, const tersor_tensor* table, const tersor_bags*,
                                          const tersor_tensor* bag_gradient, const tersor_tensor* unique,
                                          const tersor_tensor* rows, const tersor_tensor* unique_count /* i32 [1] */);
  // Optimizer step on rows ids i32 [n], ascending and each once, of an f32 table, by their gradients f32 [n, C]. In
  // place; other rows and their state stay.
  tersor_status (*update_rows)(tersor_context*, const tersor_tensor* table, const tersor_tensor* ids,
                               const tersor_tensor* gradients, const tersor_tensor* first_state,
                               const tersor_tensor* second_state, const tersor_row_options*);

  // --- product codes ---
  // The centroid nearest to each slice of x f32 [n, subspaces * width], the first of equally near ones: codes u8 or u4
  // [n, subspaces]. NaN or Inf in x or the centroids is an error.
  tersor_status (*product_encode)(tersor_context*, const tersor_tensor* x, const tersor_tensor* centroids,
                                  const tersor_tensor* codes);
  // y[i] = row ids[i] of the table; ids i32 or null = every row.
  tersor_status (*product_decode)(tersor_context*, const tersor_product_table*, const tersor_tensor* ids,
                                  const tersor_tensor* y);
  // As embedding_bag, of the rows that the codes stand for.
  tersor_status (*product_bag)(tersor_context*, const tersor_product_table*, const tersor_bags*,
                               const tersor_tensor* y);

  // --- vector search ---
  // Bytes of packed vectors.
  int64_t (*search_bytes)(int64_t rows, int64_t columns, tersor_search_format format);
  // Lays out vectors f32, i8 (within +-127), u4 or u1 [rows, columns]; with `distances` (not u1) their squared lengths
  // too.
  tersor_status (*pack_search)(tersor_context*, const tersor_tensor* vectors, int32_t distances,
                               const tersor_tensor* packed);
  // The k rows with the highest scores for each query, best first, of equal scores the lower row: ids i32 [queries, k],
  // scores f32 or i32 [queries, k], 1 <= k <= rows. Queries are f32 for f32, i8 (within +-127) for i8 and u4, u1 for
  // u1. A score is the product q.x; 2 q.x - x.x when packed for distances (int4: 2 q.x - 16 x.x, so queries are in
  // sixteenths of its step); minus the number of bits that differ for u1. Integers are exact; a NaN is an error.
  tersor_status (*search)(tersor_context*, const tersor_tensor* queries, const tersor_search_index*,
                          const tersor_tensor* ids, const tersor_tensor* scores);

  // Bytes of packed product codes of 8 or 4 bits.
  int64_t (*product_search_bytes)(int64_t rows, int64_t subspaces, int32_t bits);
  // Lays out codes u8 or u4 [rows, subspaces].
  tersor_status (*pack_product_search)(tersor_context*, const tersor_tensor* codes, const tersor_tensor* packed);
  // As search, of the rows that the codes stand for, by sums of entries of tables of each query's products with the
  // centroids (asymmetric distance computation): queries f32 [queries, columns], scores f32 [queries, k]. An entry that
  // is not finite is an error.
  tersor_status (*product_search)(tersor_context*, const tersor_tensor* queries, const tersor_tensor* centroids,
                                  const tersor_product_index*, const tersor_tensor* ids, const tersor_tensor* scores);

  // --- quantization ---
  // Codes are i8, u8, or bit-packed; code = clamp(round_half_even(x / scale) + zero_point), or round((x - bias) /
  // scale). NaN or Inf is an error.
  tersor_status (*quantize)(tersor_context*, const tersor_tensor* x, const tersor_affine*, const tersor_tensor* codes);
  // y[i] = real value of row ids[i] of codes; ids null = every row.
  tersor_status (*dequantize)(tersor_context*, const tersor_tensor* codes, const tersor_affine*,
                              const tersor_tensor* ids, const tersor_tensor* y);
  // The value of the codebook nearest to each x / scale, the lower of two equally near: codes u2 to u4. NaN or Inf is
  // an error.
  tersor_status (*codebook_encode)(tersor_context*, const tersor_tensor* x, const tersor_codebook*,
                                   const tersor_tensor* codes);
  // y[i] = real value of row ids[i] of codes; ids null = every row.
  tersor_status (*codebook_decode)(tersor_context*, const tersor_tensor* codes, const tersor_codebook*,
                                   const tersor_tensor* ids, const tersor_tensor* y);
  // y = dequantize(quantize(x)) without making codes. In place allowed.
  tersor_status (*fake_quantize)(tersor_context*, const tersor_tensor* x, const tersor_affine*, const tersor_tensor* y);
  // Codes of w[N,K] whose error e minimises tr(e * hessian * e^T) greedily, column by column (GPTQ, Frantar et al.
  // 2023); hessian[K,K] = X^T X of the layer's inputs, symmetric (its rows are read), times any positive factor.
  // Damping grows until the hessian is positive definite; columns with hessian[j,j] = 0 are rounded to nearest. The
  // affine's scales and zero points are written when they are to be found ([N, groups], no biases). Codes are i8, u8 or
  // bit-packed.
  tersor_status (*gptq)(tersor_context*, const tersor_tensor* w, const tersor_tensor* hessian,
                        const tersor_gptq_options*, const tersor_affine*, const tersor_tensor* codes);
  // y[N,K]: w pruned, and rounded to codes when an affine is given, so that the error minimises tr(e * hessian * e^T)
  // greedily, column by column (SparseGPT, Frantar & Alistarh 2023); hessian as gptq.
  tersor_status (*sparse_gpt)(tersor_context*, const tersor_tensor* w, const tersor_tensor* hessian,
                              const tersor_sparse_gpt_options*, const tersor_affine*, const tersor_tensor* y);
  // Straight-through estimator: dx = dy where x is inside the representable range, else 0. In place allowed on dy.
  tersor_status (*fake_quantize_gradient)(tersor_context*, const tersor_tensor* x, const tersor_affine*,
                                          const tersor_tensor* dy, const tersor_tensor* dx);
  // Learned step size (LSQ, Esser et al. 2020): gradient of fake_quantize with respect to the affine's scales, of their
  // shape: the sum over a group of dy * (x inside the range ? step - (x - bias) / scale : step), times 1 / sqrt(group's
  // elements * largest step), which keeps the steps of scales and weights alike.
  tersor_status (*lsq_gradient)(tersor_context*, const tersor_tensor* x, const tersor_affine*, const tersor_tensor* dy,
                                const tersor_tensor* dscales);
  // Observer: smallest and largest value of every group; f32 [R, G] with R = rows or 1. NaN or Inf is an error.
  tersor_status (*min_max)(tersor_context*, const tersor_tensor* x, int64_t group_size, const tersor_tensor* minimum,
                           const tersor_tensor* maximum);
  // Observer: of every group the range [t * min(x, 0), t * max(x, 0)], or [-t * |x|, t * |x|] for the largest |x| when
  // symmetric, whose levels + 1 codes leave the least sum of squared errors; t from 1 down to 1/4 in 64ths. 1 <= levels
  // <= 255; shapes and errors as min_max.
  tersor_status (*clip_range)(tersor_context*, const tersor_tensor* x, int64_t group_size, int32_t levels,
                              int32_t symmetric, const tersor_tensor* minimum, const tersor_tensor* maximum);
  // Observer: adds the values of x, which is not empty, to a histogram. What it then holds depends on the values that
  // were added, not on their order or batches. NaN or Inf is an error and leaves it as it is.
  tersor_status (*histogram_add)(tersor_context*, const tersor_tensor* x, const tersor_histogram*);
  // clipped f32 [2]: the range [low, high], low <= 0 <= high, whose levels + 1 codes leave the least sum of squared
  // errors of the values counted, which are taken to be spread evenly over their bin. 1 <= levels <= 255.
  tersor_status (*histogram_clip)(tersor_context*, const tersor_histogram*, int32_t levels,
                                  const tersor_tensor* clipped);
  // clipped f32 [2]: the part of the range that percentile % of the values counted are not below, and not above, with
  // 0; 50 <= percentile <= 100. Values are taken to be spread evenly over their bin.
  tersor_status (*histogram_percentile)(tersor_context*, const tersor_histogram*, double percentile,
                                        const tersor_tensor* clipped);
  // Centroids [k,d] of the rows of x[n,d], 1 <= k <= n, and the centroid i32 [n] that each is nearest to, by k-means++
  // and Lloyd's iteration; weights f32 [n], >= 0, or null. A cluster that loses its points takes the one that costs
  // most.
  tersor_status (*kmeans)(tersor_context*, const tersor_tensor* x, const tersor_tensor* weights,
                          const tersor_kmeans_options*, const tersor_tensor* centroids,
                          const tersor_tensor* assignments);

  // --- pruning ---
  // threshold[1] = the count-th smallest |x| (count >= 1), so that `|x| > threshold` drops at least `count` elements.
  tersor_status (*magnitude_threshold)(tersor_context*, const tersor_tensor* x, int64_t count,
                                       const tersor_tensor* threshold);
  // mask = |x| > threshold ? 1 : 0 (f32, x's shape).
  tersor_status (*magnitude_mask)(tersor_context*, const tersor_tensor* x, float threshold, const tersor_tensor* mask);
  // mask = 1 for the `keep` largest |x| of every `group` columns of a row (the last group may be short), else 0; of
  // equal ones the columns further left stay. f32, x's shape. NaN is an error.
  tersor_status (*nm_mask)(tersor_context*, const tersor_tensor* x, int32_t keep, int32_t group,
                           const tersor_tensor* mask);
  // mask = 1 in the `keep` blocks of block_rows x block_cols elements (those at the edges may be smaller) with the
  // largest Frobenius norms, else 0; of equal ones those further up, then further left, stay. NaN or Inf is an error.
  tersor_status (*block_mask)(tersor_context*, const tersor_tensor* x, int32_t block_rows, int32_t block_cols,
                              int64_t keep, const tersor_tensor* mask);

  // --- optimizers: update `count` parameters in place, element [i] of each array belonging to parameter i ---
  // g = clip * gradient + weight_decay * p; v = momentum * v + g; p -= lr * (nesterov ? g + momentum * v : v).
  // velocities null when momentum = 0.
  tersor_status (*sgd_step)(tersor_context*, int64_t count, const tersor_tensor* parameters,
                            const tersor_tensor* gradients, const tersor_tensor* velocities, const tersor_sgd_options*);
  tersor_status (*adam_step)(tersor_context*, int64_t count, const tersor_tensor* parameters,
                             const tersor_tensor* gradients, const tersor_tensor* first_moments,
                             const tersor_tensor* second_moments, const tersor_adam_options*);
  // g = clip * gradient + weight_decay * p; s = decay * s + (decay < 1 ? 1 - decay : 1) * g^2;
  // p -= lr * g / (sqrt(s) + epsilon).
  tersor_status (*rms_step)(tersor_context*, int64_t count, const tersor_tensor* parameters,
                            const tersor_tensor* gradients, const tersor_tensor* squares, const tersor_rms_options*);
  // LAMB: u = the direction of adam_step (bias corrected) + weight_decay * p; p -= lr * |p| / |u| * u, lengths of a
  // parameter as a vector, 1 for their ratio where one is 0. Decay is decoupled.
  tersor_status (*lamb_step)(tersor_context*, int64_t count, const tersor_tensor* parameters,
                             const tersor_tensor* gradients, const tersor_tensor* first_moments,
                             const tersor_tensor* second_moments, const tersor_adam_options*);
} tersor_backend;

#ifdef __cplusplus
}
#endif
