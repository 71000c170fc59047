// The CPU's operations, in the order of the backend table. Contracts are written there, in backend/backend.h.
#pragma once

#include "backend/backend.h"

namespace tersor::cpu {
tersor_status allocate(tersor_context*, size_t bytes, void** out);
void release(void* data, size_t bytes);
tersor_status upload(tersor_context*, void* device, const void* host, size_t bytes);
tersor_status download(tersor_context*, void* host, const void* device, size_t bytes);
tersor_status copy(tersor_context*, void* to, const void* from, size_t bytes);
tersor_status fill(tersor_context*, const tersor_tensor* y, double value);
tersor_status cast(tersor_context*, const tersor_tensor* x, const tersor_tensor* y);
tersor_status random_uniform(tersor_context*, uint64_t seed, uint64_t offset, float low, float high,
                             const tersor_tensor* y);
tersor_status random_normal(tersor_context*, uint64_t seed, uint64_t offset, float mean, float deviation,
                            const tersor_tensor* y);
tersor_status gemm(tersor_context*, const tersor_tensor* a, int32_t transpose_a, const tersor_tensor* b,
                   int32_t transpose_b, const tersor_epilogue*, int32_t accumulate, const tersor_tensor* c);
int64_t packed_elements(int64_t rows, int64_t cols, tersor_dtype dtype);
tersor_status pack_gemm(tersor_context*, const tersor_tensor* w, const tersor_tensor* panels);
tersor_status gemm_packed(tersor_context*, const tersor_tensor* x, const tersor_packed* w, const tersor_epilogue*,
                          const tersor_tensor* y);
tersor_status gram(tersor_context*, const tersor_tensor* x, int32_t accumulate, int32_t mirror, const tersor_tensor* h);
int64_t int8_bytes(int64_t rows, int64_t cols);
tersor_status pack_int8(tersor_context*, const tersor_tensor* w, const tersor_tensor* packed);
tersor_status gemm_int8(tersor_context*, const tersor_tensor* x, const tersor_int8_weight* w,
                        const tersor_int8_codes* input, const tersor_tensor* scales, const tersor_epilogue*,
                        const tersor_int8_codes* output, const tersor_tensor* y);
int64_t quantized_bytes(int64_t rows, int64_t cols, int32_t bits, int64_t group_size, int32_t has_offsets);
tersor_status pack_quantized(tersor_context*, const tersor_tensor* codes, const tersor_affine*,
                             const tersor_tensor* packed);
tersor_status pack_codebook(tersor_context*, const tersor_tensor* codes, const tersor_codebook*,
                            const tersor_tensor* packed);
tersor_status gemm_quantized(tersor_context*, const tersor_tensor* x, tersor_input_precision, const tersor_quantized* w,
                             const tersor_epilogue*, const tersor_tensor* y);
int64_t low_rank_elements(int64_t rows, int64_t cols, int64_t rank);
tersor_status pack_low_rank(tersor_context*, const tersor_tensor* left, const tersor_tensor* right,
                            const tersor_tensor* packed);
tersor_status low_rank_gemm(tersor_context*, const tersor_tensor* x, const tersor_addend*, const tersor_low_rank* w,
                            const tersor_epilogue*, const tersor_tensor* y);
tersor_status csr_packed_bytes(tersor_context*, const tersor_csr* w, const tersor_tensor* bytes);
tersor_status pack_csr(tersor_context*, const tersor_csr* w, const tersor_tensor* packed);
tersor_status csr_gemm(tersor_context*, const tersor_tensor* x, const tersor_packed_csr* w, const tersor_epilogue*,
                       const tersor_tensor* y);
tersor_status csr_gemm_int8(tersor_context*, const tersor_tensor* x, const tersor_packed_csr* w,
                            const tersor_int8_epilogue*, const tersor_tensor* y);
tersor_status csr_set_values(tersor_context*, const tersor_packed_csr* pattern, const tersor_tensor* values,
                             const tersor_tensor* packed);
tersor_status csr_sddmm(tersor_context*, const tersor_tensor* dy, const tersor_tensor* x,
                        const tersor_packed_csr* pattern, const tersor_tensor* values);
int64_t nm_bytes(int64_t rows, int64_t cols, int32_t keep, int32_t group);
tersor_status pack_nm(tersor_context*, const tersor_tensor* w, int32_t keep, int32_t group,
                      const tersor_tensor* packed);
tersor_status unpack_nm(tersor_context*, const tersor_nm* w, const tersor_tensor* ids, const tersor_tensor* y);
tersor_status nm_gemm(tersor_context*, const tersor_tensor* x, const tersor_nm* w, const tersor_epilogue*,
                      const tersor_tensor* y);
int64_t nm_int8_bytes(int64_t rows, int64_t cols, int32_t keep, int32_t group, int32_t bits);
tersor_status pack_nm_int8(tersor_context*, const tersor_tensor* w, int32_t keep, int32_t group, int32_t bits,
                           const tersor_tensor* packed);
tersor_status unpack_nm_int8(tersor_context*, const tersor_nm* w, const tersor_tensor* ids, const tersor_tensor* y);
tersor_status nm_gemm_int8(tersor_context*, const tersor_tensor* x, const tersor_nm* w, const tersor_int8_codes* input,
                           const tersor_tensor* scales, const tersor_epilogue*, const tersor_tensor* y);
tersor_status block_gemm(tersor_context*, const tersor_tensor* x, const tersor_blocks* w, const tersor_epilogue*,
                         const tersor_tensor* y);
tersor_status block_gemm_int8(tersor_context*, const tersor_tensor* x, const tersor_blocks* w,
                              const tersor_int8_codes* input, const tersor_tensor* scales,
                              const tersor_tensor* row_sums, const tersor_epilogue*, const tersor_tensor* y);
tersor_status svd(tersor_context*, const tersor_tensor* a, const tersor_tensor* u, const tersor_tensor* s,
                  const tersor_tensor* vt);
tersor_status activate(tersor_context*, tersor_activation, const tersor_tensor* x, const tersor_tensor* y);
tersor_status activate_gradient(tersor_context*, tersor_activation, const tersor_tensor* x, const tersor_tensor* dy,
                                const tersor_tensor* dx);
tersor_status svd_randomized(tersor_context*, const tersor_tensor* a, const tersor_svd_randomized_options*,
                             const tersor_tensor* u, const tersor_tensor* s, const tersor_tensor* vt);
tersor_status svd_batched(tersor_context*, const tersor_tensor* a, const tersor_tensor* u, const tersor_tensor* s,
                          const tersor_tensor* vt);
tersor_status scale(tersor_context*, const tersor_tensor* x, float factor, const tersor_tensor* y);
tersor_status binary(tersor_context*, tersor_binary_op, const tersor_tensor* a, const tersor_tensor* b,
                     const tersor_tensor* y);
tersor_status reduce(tersor_context*, tersor_reduce_op, const tersor_tensor* x, int32_t axis, const tersor_tensor* y);
tersor_status copy_columns(tersor_context*, const tersor_tensor* x, int64_t x_begin, const tersor_tensor* y,
                           int64_t y_begin, int64_t count);
tersor_status softmax(tersor_context*, const tersor_tensor* x, const tersor_tensor* y);
tersor_status softmax_gradient(tersor_context*, const tersor_tensor* y, const tersor_tensor* dy,
                               const tersor_tensor* dx);
tersor_status log_softmax(tersor_context*, const tersor_tensor* x, const tersor_tensor* y);
tersor_status log_softmax_gradient(tersor_context*, const tersor_tensor* y, const tersor_tensor* dy,
                                   const tersor_tensor* dx);
tersor_status normalize(tersor_context*, const tersor_tensor* x, const tersor_normalization*, const tersor_tensor* y);
tersor_status normalize_gradient(tersor_context*, const tersor_tensor* x, const tersor_normalization*,
                                 const tersor_tensor* dy, const tersor_tensor* dx, const tersor_tensor* weight_gradient,
                                 const tersor_tensor* bias_gradient);
tersor_status attention(tersor_context*, const tersor_tensor* q, const tersor_tensor* k, const tersor_tensor* v,
                        const tersor_attention*, const tersor_tensor* y, const tersor_tensor* log_sums);
tersor_status attention_gradient(tersor_context*, const tersor_tensor* q, const tersor_tensor* k,
                                 const tersor_tensor* v, const tersor_attention*, const tersor_tensor* y,
                                 const tersor_tensor* log_sums, const tersor_tensor* dy, const tersor_tensor* dq,
                                 const tersor_tensor* dk, const tersor_tensor* dv);
tersor_status conv2d(tersor_context*, const tersor_tensor* x, const tersor_tensor* w, const tersor_tensor* bias,
                     const tersor_convolution*, tersor_activation, const tersor_tensor* y);
tersor_status conv2d_gradient(tersor_context*, const tersor_tensor* x, const tersor_tensor* w,
                              const tersor_convolution*, const tersor_tensor* dy, const tersor_tensor* dx,
                              const tersor_tensor* dw, const tersor_tensor* dbias);
tersor_status pool2d(tersor_context*, const tersor_tensor* x, const tersor_pooling*, const tersor_tensor* y);
tersor_status pool2d_gradient(tersor_context*, const tersor_tensor* x, const tersor_pooling*, const tersor_tensor* dy,
                              const tersor_tensor* dx);
tersor_status channel_moments(tersor_context*, const tersor_tensor* x, const tersor_tensor* mean,
                              const tersor_tensor* variance);
tersor_status batch_norm2d(tersor_context*, const tersor_tensor* x, const tersor_batch_norm*, const tersor_tensor* y);
tersor_status batch_norm2d_gradient(tersor_context*, const tersor_tensor* x, const tersor_batch_norm*, int32_t of_batch,
                                    const tersor_tensor* dy, const tersor_tensor* dx,
                                    const tersor_tensor* weight_gradient, const tersor_tensor* bias_gradient);
tersor_status cross_entropy(tersor_context*, const tersor_tensor* logits, const tersor_tensor* labels,
                            const tersor_tensor* loss, const tersor_tensor* gradient);
tersor_status distillation(tersor_context*, const tersor_tensor* student, const tersor_tensor* teacher,
                           float temperature, const tersor_tensor* loss, const tersor_tensor* gradient);
tersor_status gather(tersor_context*, const tersor_tensor* table, const tersor_tensor* ids, const tersor_tensor* y);
tersor_status scatter_add(tersor_context*, const tersor_tensor* rows, const tersor_tensor* ids,
                          const tersor_tensor* table);
tersor_status fuse_rows(tersor_context*, const tersor_tensor* codes, const tersor_affine*, int32_t bits,
                        const tersor_tensor* rows);
tersor_status embedding_bag(tersor_context*, const tersor_embedding* table, const tersor_bags*, const tersor_tensor* y);
tersor_status embedding_bag_gradient(tersor_context*, const tersor_tensor* table, const tersor_bags*,
                                     const tersor_tensor* bag_gradient, const tersor_tensor* unique,
                                     const tersor_tensor* rows, const tersor_tensor* unique_count);
tersor_status update_rows(tersor_context*, const tersor_tensor* table, const tersor_tensor* ids,
                          const tersor_tensor* gradients, const tersor_tensor* first_state,
                          const tersor_tensor* second_state, const tersor_row_options*);
tersor_status product_encode(tersor_context*, const tersor_tensor* x, const tersor_tensor* centroids,
                             const tersor_tensor* codes);
tersor_status product_decode(tersor_context*, const tersor_product_table*, const tersor_tensor* ids,
                             const tersor_tensor* y);
tersor_status product_bag(tersor_context*, const tersor_product_table*, const tersor_bags*, const tersor_tensor* y);
int64_t search_bytes(int64_t rows, int64_t columns, tersor_search_format format);
tersor_status pack_search(tersor_context*, const tersor_tensor* vectors, int32_t distances,
                          const tersor_tensor* packed);
tersor_status search(tersor_context*, const tersor_tensor* queries, const tersor_search_index*,
                     const tersor_tensor* ids, const tersor_tensor* scores);
int64_t product_search_bytes(int64_t rows, int64_t subspaces, int32_t bits);
tersor_status pack_product_search(tersor_context*, const tersor_tensor* codes, const tersor_tensor* packed);
tersor_status product_search(tersor_context*, const tersor_tensor* queries, const tersor_tensor* centroids,
                             const tersor_product_index*, const tersor_tensor* ids, const tersor_tensor* scores);
tersor_status quantize(tersor_context*, const tersor_tensor* x, const tersor_affine*, const tersor_tensor* codes);
tersor_status dequantize(tersor_context*, const tersor_tensor* codes, const tersor_affine*, const tersor_tensor* ids,
                         const tersor_tensor* y);
tersor_status codebook_encode(tersor_context*, const tersor_tensor* x, const tersor_codebook*,
                              const tersor_tensor* codes);
tersor_status codebook_decode(tersor_context*, const tersor_tensor* codes, const tersor_codebook*,
                              const tersor_tensor* ids, const tersor_tensor* y);
tersor_status fake_quantize(tersor_context*, const tersor_tensor* x, const tersor_affine*, const tersor_tensor* y);
tersor_status gptq(tersor_context*, const tersor_tensor* w, const tersor_tensor* hessian, const tersor_gptq_options*,
                   const tersor_affine*, const tersor_tensor* codes);
tersor_status sparse_gpt(tersor_context*, const tersor_tensor* w, const tersor_tensor* hessian,
                         const tersor_sparse_gpt_options*, const tersor_affine*, const tersor_tensor* y);
tersor_status fake_quantize_gradient(tersor_context*, const tersor_tensor* x, const tersor_affine*,
                                     const tersor_tensor* dy, const tersor_tensor* dx);
tersor_status min_max(tersor_context*, const tersor_tensor* x, int64_t group_size, const tersor_tensor* minimum,
                      const tersor_tensor* maximum);
tersor_status clip_range(tersor_context*, const tersor_tensor* x, int64_t group_size, int32_t levels, int32_t symmetric,
                         const tersor_tensor* minimum, const tersor_tensor* maximum);
tersor_status histogram_add(tersor_context*, const tersor_tensor* x, const tersor_histogram*);
tersor_status histogram_clip(tersor_context*, const tersor_histogram*, int32_t levels, const tersor_tensor* clipped);
tersor_status histogram_percentile(tersor_context*, const tersor_histogram*, double percentile,
                                   const tersor_tensor* clipped);
tersor_status lsq_gradient(tersor_context*, const tersor_tensor* x, const tersor_affine*, const tersor_tensor* dy,
                           const tersor_tensor* dscales);
tersor_status kmeans(tersor_context*, const tersor_tensor* x, const tersor_tensor* weights,
                     const tersor_kmeans_options*, const tersor_tensor* centroids, const tersor_tensor* assignments);
tersor_status magnitude_threshold(tersor_context*, const tersor_tensor* x, int64_t count,
                                  const tersor_tensor* threshold);
tersor_status magnitude_mask(tersor_context*, const tersor_tensor* x, float threshold, const tersor_tensor* mask);
tersor_status nm_mask(tersor_context*, const tersor_tensor* x, int32_t keep, int32_t group, const tersor_tensor* mask);
tersor_status block_mask(tersor_context*, const tersor_tensor* x, int32_t block_rows, int32_t block_cols, int64_t keep,
                         const tersor_tensor* mask);
tersor_status sgd_step(tersor_context*, int64_t count, const tersor_tensor* parameters, const tersor_tensor* gradients,
                       const tersor_tensor* velocities, const tersor_sgd_options*);
tersor_status adam_step(tersor_context*, int64_t count, const tersor_tensor* parameters, const tersor_tensor* gradients,
                        const tersor_tensor* first_moments, const tersor_tensor* second_moments,
                        const tersor_adam_options*);
tersor_status rms_step(tersor_context*, int64_t count, const tersor_tensor* parameters, const tersor_tensor* gradients,
                       const tersor_tensor* squares, const tersor_rms_options*);
tersor_status lamb_step(tersor_context*, int64_t count, const tersor_tensor* parameters, const tersor_tensor* gradients,
                        const tersor_tensor* first_moments, const tersor_tensor* second_moments,
                        const tersor_adam_options*);

}  // namespace tersor::cpu
