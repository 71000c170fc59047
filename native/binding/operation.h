// An operation as JavaScript sees it: argument checks that end in a callable, which runs at once or as a job.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <utility>

#include "backend/backend.h"
#include "binding/arguments.h"

namespace tersor::binding {

// A checked call that any thread may run, once.
class Work {
 public:
  Work() = default;
  Work(const Work&) = delete;
  Work& operator=(const Work&) = delete;
  virtual ~Work() = default;
  virtual tersor_status run(tersor_context* context) = 0;
};

struct Operation {
  const char* name;
  size_t arity;
  void (*run_now)(Arguments&);
  std::unique_ptr<Work> (*prepare)(Arguments&);
};

// Throws Error for anything but TERSOR_OK.
void expect_ok(const char* operation, tersor_status status, const tersor_context& context);

// Makes an Operation of a function that reads its arguments and returns a callable
// tersor_status(const tersor_backend&, tersor_context*). The synchronous path allocates nothing.
template <auto read>
constexpr Operation operation(const char* name, size_t arity) {
  return {
      name,
      arity,
      [](Arguments& in) {
        const auto call = read(in);
        tersor_context context;
        context.cancel = nullptr;
        context.message[0] = '\0';
        expect_ok(in.operation(), call(in.backend(), &context), context);
      },
      [](Arguments& in) -> std::unique_ptr<Work> {
        using Call = decltype(read(in));
        class Checked final : public Work {
         public:
          Checked(Call call, const tersor_backend& backend) : call_(std::move(call)), backend_(backend) {}
          tersor_status run(tersor_context* context) override { return call_(backend_, context); }

         private:
          const Call call_;
          const tersor_backend& backend_;
        };
        auto call = read(in);
        return std::make_unique<Checked>(std::move(call), in.backend());
      },
  };
}

std::span<const Operation> memory_operations();
std::span<const Operation> product_operations();
std::span<const Operation> sparse_operations();
std::span<const Operation> decomposition_operations();
std::span<const Operation> elementwise_operations();
std::span<const Operation> embedding_operations();
std::span<const Operation> attention_operations();
std::span<const Operation> convolution_operations();
std::span<const Operation> loss_operations();
std::span<const Operation> compression_operations();
std::span<const Operation> optimizer_operations();
std::span<const Operation> search_operations();
std::span<const Operation> codebook_operations();

}  // namespace tersor::binding
