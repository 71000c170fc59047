// k-means: seeds by k-means++ (Arthur & Vassilvitskii 2007), then Lloyd's iteration. Sums are taken per chunk of points
// and added in the order of the chunks, so that the result does not depend on threads.
#include <algorithm>
#include <cmath>
#include <limits>
#include <new>
#include <numeric>
#include <vector>

#include "backend/fail.h"
#include "core/philox.h"
#include "cpu/aligned.h"
#include "cpu/finite.h"
#include "cpu/operations.h"
#include "cpu/parallel.h"
#include "cpu/view.h"

namespace tersor::cpu {
namespace {

// Third and fourth counter word: clear of the streams of random.cc and lib/random.ts.
constexpr uint32_t kKmeansStream = 2;

double unit(uint64_t seed, uint32_t draw) {
  const PhiloxBlock block =
      philox4x32({draw, 0, 0, kKmeansStream}, static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32));
  return (block[0] + 0.5) * 0x1p-32;
}

float squared_distance(const float* a, const float* b, int64_t size) {
  float sum = 0;
  for (int64_t i = 0; i < size; ++i) sum += (a[i] - b[i]) * (a[i] - b[i]);
  return sum;
}

class KMeans {
 public:
  KMeans(tersor_context* context, const tersor_tensor* x, const tersor_tensor* weights, uint64_t seed,
         const tersor_tensor* centroids, const tersor_tensor* assignments)
      : context_(context),
        seed_(seed),
        x_(data_of<const float>(x)),
        weights_(weights == nullptr ? nullptr : data_of<const float>(weights)),
        points_(rows_of(x)),
        size_(columns_of(x)),
        clusters_(rows_of(centroids)),
        centroids_(data_of<float>(centroids)),
        assignments_(data_of<int32_t>(assignments)),
        chunk_(std::max<int64_t>(512, (points_ + kMostChunks - 1) / kMostChunks)),
        chunks_((points_ + chunk_ - 1) / chunk_) {}

  tersor_status run(int32_t iterations) {
    for (const tersor_status status :
         {distances_.allocate(context_, points_), masses_.allocate(context_, chunks_ * clusters_),
          sums_.allocate(context_, chunks_ * clusters_ * size_), changed_.allocate(context_, chunks_)}) {
      if (status != TERSOR_OK) return status;
    }
    if (const tersor_status status = seed_centroids(); status != TERSOR_OK) return status;
    std::fill(assignments_, assignments_ + points_, -1);
    bool moving = true;
    for (int32_t i = 0; i < iterations && moving; ++i) {
      if (const tersor_status status = assign(&moving); status != TERSOR_OK) return status;
      if (moving) move_centroids();
    }
    // The centroids may have moved once more.
    return moving ? assign(&moving) : TERSOR_OK;
  }

 private:
  static constexpr int64_t kMostChunks = 64;

  const float* point(int64_t i) const { return x_ + i * size_; }
  float* centroid(int64_t i) const { return centroids_ + i * size_; }
  double weight(int64_t i) const { return weights_ == nullptr ? 1.0 : static_cast<double>(weights_[i]); }
  tersor_status for_points(auto&& body) const { return for_chunks(context_, points_, chunk_, body); }

  // Each next seed is a point, with a chance in proportion to its weight and its squared distance from those so far.
  tersor_status seed_centroids() {
    std::fill(distances_.data(), distances_.data() + points_, std::numeric_limits<float>::max());
    int64_t chosen = draw(0, [this](int64_t i) { return weight(i); });
    for (int64_t cluster = 0;;) {
      std::copy(point(chosen), point(chosen) + size_, centroid(cluster));
      if (++cluster == clusters_) return TERSOR_OK;
      const float* latest = centroid(cluster - 1);
      const tersor_status status = for_points([&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          distances_[i] = std::min(distances_[i], squared_distance(point(i), latest, size_));
        }
      });
      if (status != TERSOR_OK) return status;
      chosen = draw(static_cast<uint32_t>(cluster),
                    [this](int64_t i) { return weight(i) * static_cast<double>(distances_[i]); });
    }
  }

  // A point drawn with chances in these proportions; the first one when all are 0.
  int64_t draw(uint32_t number, auto&& chance) const {
    double total = 0;
    for (int64_t i = 0; i < points_; ++i) total += chance(i);
    const double goal = total * unit(seed_, number);
    double sum = 0;
    int64_t last = 0;
    for (int64_t i = 0; i < points_; ++i) {
      const double own = chance(i);
      if (own <= 0) continue;
      last = i;
      sum += own;
      if (sum >= goal) return i;
    }
    return last;
  }

  struct Nearest {
    int32_t cluster;
    float distance;
  };

  // The first one of equals.
  Nearest nearest_to(const float* x) const {
    Nearest nearest{0, squared_distance(x, centroid(0), size_)};
    for (int64_t cluster = 1; cluster < clusters_; ++cluster) {
      const float distance = squared_distance(x, centroid(cluster), size_);
      if (distance < nearest.distance) nearest = {static_cast<int32_t>(cluster), distance};
    }
    return nearest;
  }

  // Of numbers: by bisection of the sorted centroids; the smaller one of equally near ones.
  Nearest nearest_to(float x) const {
    const auto above = std::lower_bound(sorted_.begin(), sorted_.end(), x,
                                        [this](int32_t cluster, float value) { return centroids_[cluster] < value; });
    const auto at = [&](auto position) { return Nearest{*position, squared_distance(&x, centroid(*position), 1)}; };
    if (above == sorted_.begin()) return at(above);
    const Nearest below = at(above - 1);
    if (above == sorted_.end()) return below;
    const Nearest other = at(above);
    return other.distance < below.distance ? other : below;
  }

  // The nearest centroid of every point, and the sums of each cluster's points by chunk.
  tersor_status assign(bool* moving) {
    if (size_ == 1) {
      sorted_.resize(static_cast<size_t>(clusters_));
      std::iota(sorted_.begin(), sorted_.end(), 0);
      std::stable_sort(sorted_.begin(), sorted_.end(),
                       [this](int32_t a, int32_t b) { return centroids_[a] < centroids_[b]; });
    }
    const tersor_status status = for_points([&](int64_t begin, int64_t end) {
      const int64_t chunk = begin / chunk_;
      double *masses = masses_.data() + chunk * clusters_, *sums = sums_.data() + chunk * clusters_ * size_;
      std::fill(masses, masses + clusters_, 0.0);
      std::fill(sums, sums + clusters_ * size_, 0.0);
      bool changed = false;
      for (int64_t i = begin; i < end; ++i) {
        const auto [nearest, least] = size_ == 1 ? nearest_to(*point(i)) : nearest_to(point(i));
        changed = changed || nearest != assignments_[i];
        assignments_[i] = nearest;
        distances_[i] = least;
        masses[nearest] += weight(i);
        for (int64_t j = 0; j < size_; ++j) {
          sums[nearest * size_ + j] += weight(i) * static_cast<double>(point(i)[j]);
        }
      }
      changed_[chunk] = changed ? 1 : 0;
    });
    *moving = std::find(changed_.data(), changed_.data() + chunks_, 1) != changed_.data() + chunks_;
    return status;
  }

  void move_centroids() {
    for (int64_t cluster = 0; cluster < clusters_; ++cluster) {
      double mass = 0;
      for (int64_t chunk = 0; chunk < chunks_; ++chunk) mass += masses_[chunk * clusters_ + cluster];
      if (mass <= 0) {
        move_to_farthest(cluster);
        continue;
      }
      for (int64_t j = 0; j < size_; ++j) {
        double sum = 0;
        for (int64_t chunk = 0; chunk < chunks_; ++chunk) sum += sums_[(chunk * clusters_ + cluster) * size_ + j];
        centroid(cluster)[j] = static_cast<float>(sum / mass);
      }
    }
  }

  // An empty cluster takes the point that costs most where it is; the next empty one takes another.
  void move_to_farthest(int64_t cluster) {
    int64_t farthest = 0;
    double most = -1;
    for (int64_t i = 0; i < points_; ++i) {
      const double cost = weight(i) * static_cast<double>(distances_[i]);
      if (cost > most) most = cost, farthest = i;
    }
    std::copy(point(farthest), point(farthest) + size_, centroid(cluster));
    distances_[farthest] = 0;
  }

  tersor_context* context_;
  const uint64_t seed_;
  const float *x_, *weights_;
  const int64_t points_, size_, clusters_;
  float* centroids_;
  int32_t* assignments_;
  const int64_t chunk_, chunks_;
  AlignedBuffer<float> distances_;
  AlignedBuffer<double> masses_, sums_;
  AlignedBuffer<uint8_t> changed_;
  std::vector<int32_t> sorted_;  // clusters by centroid, of numbers
};

}  // namespace

tersor_status kmeans(tersor_context* context, const tersor_tensor* x, const tersor_tensor* weights,
                     const tersor_kmeans_options* options, const tersor_tensor* centroids,
                     const tersor_tensor* assignments) {
  const int64_t points = rows_of(x), size = columns_of(x), clusters = rows_of(centroids);
  if (clusters < 1 || clusters > points || options->iterations < 0) {
    return fail(context, TERSOR_OUT_OF_RANGE, "expected 1 to %lld clusters and 0 or more iterations, got %lld and %d",
                static_cast<long long>(points), static_cast<long long>(clusters), options->iterations);
  }
  const auto* px = data_of<const float>(x);
  if (const int64_t bad = first_non_finite(px, points * size); bad >= 0) {
    return fail(context, TERSOR_NOT_FINITE, "expected finite values, got %g, at x[%lld, %lld]",
                static_cast<double>(px[bad]), static_cast<long long>(bad / size), static_cast<long long>(bad % size));
  }
  if (weights != nullptr) {
    const auto* pw = data_of<const float>(weights);
    for (int64_t i = 0; i < points; ++i) {
      if (is_finite(pw[i]) && pw[i] >= 0) continue;
      return fail(context, TERSOR_OUT_OF_RANGE, "expected a finite weight of 0 or more, got %g, at weights[%lld]",
                  static_cast<double>(pw[i]), static_cast<long long>(i));
    }
  }
  try {
    return KMeans(context, x, weights, options->seed, centroids, assignments).run(options->iterations);
  } catch (const std::bad_alloc&) {
    return fail(context, TERSOR_OUT_OF_MEMORY, "expected memory for the order of %lld centroids, got none",
                static_cast<long long>(clusters));
  }
}

}  // namespace tersor::cpu
