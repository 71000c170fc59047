#include "benchmark.h"

#include <algorithm>
#include <charconv>
#include <stdexcept>

namespace tersor::bench {
namespace {

const std::map<std::string, Benchmark (*)(const Parameters&)> kFamilies = {
    {"gemm_f32", gemm_f32},
    {"gemm_bf16", gemm_bf16},
    {"gram", gram},
    {"gemm_int8", gemm_int8},
    {"gemm_int8_static", gemm_int8_static},
    {"gemm_int8_dynamic", gemm_int8_dynamic},
    {"gemm_quantized", gemm_quantized},
    {"gemm_codebook", gemm_codebook},
    {"low_rank", low_rank},
    {"csr_f32", csr_f32},
    {"csr_int8", csr_int8},
    {"csr_transposed", csr_transposed},
    {"csr_sddmm", csr_sddmm},
    {"svd_f32", svd_f32},
    {"gptq", gptq},
    {"embedding_bag", embedding_bag},
    {"product_bag", product_bag},
    {"product_search", product_search},
    {"attention", attention},
    {"nm_f32", nm_f32},
    {"nm_int8", nm_int8},
    {"block_f32", block_f32},
    {"block_int8", block_int8},
    {"svd_randomized", svd_randomized},
    {"svd_batched", svd_batched},
    {"conv2d", conv2d},
    {"search_int8", search_int8},
    {"histogram", histogram},
    {"histogram_clip", histogram_clip},
};

}  // namespace

Parameters::Parameters(const std::string& job) : job_(job), family_(job.substr(0, job.find(':'))) {
  size_t at = family_.size();
  while (at < job.size()) {
    const size_t begin = at + 1, end = std::min(job.find(',', begin), job.size()), equals = job.find('=', begin);
    int64_t value = 0;
    const char* stop = job.data() + end;
    if (equals >= end || std::from_chars(job.data() + equals + 1, stop, value).ptr != stop || value < 0) {
      throw std::invalid_argument("expected family:name=integer,…, got '" + job + "'");
    }
    values_[job.substr(begin, equals - begin)] = value;
    at = end;
  }
}

int64_t Parameters::operator[](const std::string& name) const {
  const auto found = values_.find(name);
  if (found == values_.end()) throw std::invalid_argument("expected a value for '" + name + "', got '" + job_ + "'");
  return found->second;
}

Benchmark make_benchmark(const Parameters& parameters) {
  const auto found = kFamilies.find(parameters.family());
  if (found == kFamilies.end()) {
    std::string names;
    for (const auto& family : kFamilies) names += (names.empty() ? "" : ", ") + family.first;
    throw std::invalid_argument("expected one of " + names + ", got '" + parameters.family() + "'");
  }
  return found->second(parameters);
}

}  // namespace tersor::bench
