// Writing token by token on a CPU: a GLM's weights as products of few rows read
// them, what a text's tokens left behind, and a pass of tokens through all layers.
// U is what products read: float32, or bfloat16 in pairs; sums are float32. What
// comes of a token depends on no other row of its pass, to the last bit, nor on
// the number of threads.
#ifndef GLMKIT_WRITER_H
#define GLMKIT_WRITER_H
#include "decode.h"
#include "rows.h"

#include <omp.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <new>
#include <stdexcept>
#include <vector>

namespace {

const float kNormEps = 1e-5f;

// Zeros. Many of them lie in large pages, where there are some.
template <class U> class Memory {
  struct Free {
    void operator()(U *p) const { std::free(p); }
  };
  std::unique_ptr<U, Free> at;

public:
  Memory() = default;
  explicit Memory(int64_t n) {
    const size_t bytes = n * sizeof(U), page = bytes < 1 << 22 ? 64 : 1 << 21;
    void *p = nullptr;
    if (posix_memalign(&p, page, std::max<size_t>(bytes, 1)))
      throw std::bad_alloc();
#ifdef MADV_HUGEPAGE
    if (page > 64)
      madvise(p, bytes, MADV_HUGEPAGE);
#endif
    at.reset(static_cast<U *>(std::memset(p, 0, bytes)));
  }
  U *get() const { return at.get(); }
};

// The length of a row of n numbers, in units.
template <class U> int64_t padded(int64_t n) { return (n + 16 * Numbers<U>::count - 1) / (16 * Numbers<U>::count) * 16; }

// A weight [outs, in] with its bias, in groups of kGroup outputs.
template <class U> struct Matrix {
  int64_t outs, in, groups;
  const float *bias;
  Memory<U> units;

  Matrix(const float *w, const float *bias, int64_t outs, int64_t in)
      : outs(outs), in(in), groups((outs + kGroup - 1) / kGroup), bias(bias), units(groups * kGroup * padded<U>(in)) {
    const int64_t n = padded<U>(in);
#pragma omp parallel for
    for (int64_t g = 0; g < groups; g++) {
      std::vector<U> line(n);
      for (int64_t o = 0; o < std::min(kGroup, outs - g * kGroup); o++) {
        few<U>().units(line.data(), w + (g * kGroup + o) * in, in, n);
        for (int64_t u = 0; u < n; u++)
          units.get()[(g * n + u) * kGroup + o] = line[u];
      }
    }
  }
};

// Where threads wait for each other: awake for as long as a phase of a small model
// takes, then asleep.
class Barrier {
  static constexpr int kAwake = 1000; // looks
  std::atomic<int> here{0};
  std::atomic<unsigned> round{0};
  std::mutex mutex;
  std::condition_variable next;

public:
  void wait(int size) {
    const unsigned now = round.load();
    if (here.fetch_add(1) + 1 == size) {
      here.store(0);
      {
        std::lock_guard<std::mutex> lock(mutex);
        round.store(now + 1);
      }
      next.notify_all();
      return;
    }
    for (int i = 0; i < kAwake; i++) {
      if (round.load() != now)
        return;
#ifdef __x86_64__
      __builtin_ia32_pause();
#endif
    }
    std::unique_lock<std::mutex> lock(mutex);
    next.wait(lock, [&] { return round.load() != now; });
  }
};

// The threads of a pass.
struct Team {
  int rank, size;
  Barrier &barrier;

  // f(i) for all i below n, divided among the threads; then they meet.
  template <class F> void each(int64_t n, F f) {
    for (int64_t i = n * rank / size; i < n * (rank + 1) / size; i++)
      f(i);
    if (size > 1)
      barrier.wait(size);
  }
};

} // namespace

// gk_writer is a GLM that writes. It reads the model's own embeddings, norms and
// biases, which must stay.
struct gk_writer {
  virtual ~gk_writer() = default;
  virtual gk_pages *open(int64_t texts, int64_t slots) const = 0;
};

// gk_pages is what the tokens of texts and slots left behind.
struct gk_pages {
  virtual ~gk_pages() = default;
  virtual void pass(const int64_t *ids, const gk_cached_row *rows, const int32_t *places, int64_t width, int64_t n, float *logits, int threads) = 0;
};

namespace {

template <class U> struct Writer : gk_writer {
  struct Layer {
    const float *norm[2], *second[2]; // weight and bias of the LayerNorms
    Matrix<U> qkv, dense, wide, narrow;
  };
  const int64_t hidden, heads;
  const float *embeddings[3], *last[2];
  int64_t sizes[3]; // of the embeddings' tables
  std::vector<Layer> layers;
  Matrix<U> words;

  // weights are the three embeddings, twelve of each layer, two of the last norm.
  Writer(const float *const *weights, const int64_t *tables, int64_t layers, int64_t heads, int64_t h)
      : hidden(h), heads(heads), last{weights[3 + 12 * layers], weights[4 + 12 * layers]}, words(weights[0], nullptr, tables[0], h) {
    std::copy(weights, weights + 3, embeddings);
    std::copy(tables, tables + 3, sizes);
    for (const float *const *w = weights + 3; layers > 0; layers--, w += 12)
      this->layers.push_back({{w[0], w[1]}, {w[6], w[7]}, {w[2], w[3], 3 * h, h}, {w[4], w[5], h, h}, {w[8], w[9], 4 * h, h}, {w[10], w[11], h, 4 * h}});
  }
  gk_pages *open(int64_t texts, int64_t slots) const override;
};

// The keys and values of a kind of owners. Those of a layer, an owner and a head lie
// side by side, kPage tokens a page.
template <class U> class Store {
  static constexpr int64_t kPage = 64;
  std::vector<Memory<U>> pages;
  const int64_t layers, heads, owners, wide; // wide is the length of a key

public:
  Store(int64_t layers, int64_t heads, int64_t owners, int64_t wide) : layers(layers), heads(heads), owners(owners), wide(wide) {}
  bool has(int64_t owner) const { return owner >= 0 && owner < owners; }
  // Makes room for so many tokens of each owner.
  void reserve(int64_t tokens) {
    while ((int64_t)pages.size() * kPage < tokens)
      pages.emplace_back(2 * layers * owners * heads * kPage * wide);
  }
  // A token's key; its value is to_values() behind it.
  U *key(int64_t layer, int64_t owner, int64_t head, int64_t token) const {
    return pages[token / kPage].get() + (((layer * owners + owner) * heads + head) * 2 * kPage + token % kPage) * wide;
  }
  int64_t to_values() const { return kPage * wide; }
};

template <class U> class Pages : public gk_pages {
  static constexpr int64_t kRows = 64;       // whose products follow each other while their weights are near
  static constexpr int64_t kGrain = 1 << 16; // multiplications that a thread is worth

  const Writer<U> &model;
  const int64_t h = model.hidden, heads = model.heads, d = h / heads, wide = padded<U>(d);
  Store<U> texts, slots;

  // What a thread works in.
  struct Scratch {
    std::vector<U> x; // what its products read
    std::vector<const U *> keys;
    std::vector<float> floats; // a row normed, or weights of tokens
  };
  std::vector<Scratch> scratch;
  std::vector<float> room;

  // A pass under way, for one of its threads.
  struct Thread {
    Team team;
    Scratch &mine;
    const gk_cached_row *rows;
    const int32_t *places;
    int64_t width, n;
  };

  // to = x * w + b for all rows, added to what is there if add; GELU of it, if gelu.
  // prepare(units, row) makes the rows of x. A thread has a part of the outputs, and
  // where there are too few of these, a band of the rows.
  template <class P> void products(Thread &t, float *to, const Matrix<U> &m, bool add, bool gelu, P prepare) {
    const int64_t parts = std::min<int64_t>(m.groups, t.team.size), bands = std::max<int64_t>(1, std::min<int64_t>(t.team.size / parts, t.n / 4));
    const int64_t units = padded<U>(m.in);
    t.mine.x.resize(std::min(t.n, kRows) * units);
    t.team.each(parts * bands, [&](int64_t i) {
      const int64_t part = i % parts, group = part * m.groups / parts, o = group * kGroup;
      const int64_t outs = std::min(m.outs, (part + 1) * m.groups / parts * kGroup) - o, end = t.n * (i / parts + 1) / bands;
      for (int64_t r = t.n * (i / parts) / bands; r < end; r += kRows) {
        const int64_t rows = std::min(kRows, end - r);
        for (int64_t k = 0; k < rows; k++)
          prepare(t.mine.x.data() + k * units, r + k);
        few<U>().products(to + r * m.outs + o, m.outs, t.mine.x.data(), rows, units, m.units.get() + group * kGroup * units,
                          m.bias ? m.bias + o : nullptr, outs, add);
        for (int64_t k = r; gelu && k < r + rows; k++)
          row<float>().gelu(to + k * m.outs + o, to + k * m.outs + o, outs);
      }
    });
  }

  void keep(const gk_cached_row &r, int64_t layer, int64_t head, const float *qkv) {
    U *key = r.slot < 0 ? texts.key(layer, r.text, head, r.length) : slots.key(layer, r.slot, head, r.length);
    few<U>().units(key, qkv + h + head * d, d, wide);
    few<U>().units(key + texts.to_values(), qkv + 2 * h + head * d, d, wide);
  }

  void attention(Thread &t, int64_t layer, float *to, const float *qkv) {
    // Tokens of a text read each other; a written one is read by its own row alone.
    const bool reading = t.rows[0].slot < 0;
    if (reading)
      t.team.each(t.n * heads, [&](int64_t i) { keep(t.rows[i / heads], layer, i % heads, qkv + i / heads * 3 * h); });
    t.team.each(t.n * heads, [&](int64_t i) {
      const int64_t r = i / heads, head = i % heads;
      const gk_cached_row &row = t.rows[r];
      if (!reading)
        keep(row, layer, head, qkv + r * 3 * h);
      const int64_t tokens = row.sep + (reading ? 0 : row.length + 1);
      t.mine.keys.resize(tokens), t.mine.floats.resize(tokens + 16), t.mine.x.resize(wide);
      for (int64_t k = 0; k < row.sep; k++)
        t.mine.keys[k] = texts.key(layer, row.text, head, k);
      for (int64_t k = row.sep; k < tokens; k++)
        t.mine.keys[k] = slots.key(layer, t.places[r * t.width + k - row.sep], head, k - row.sep);
      few<U>().units(t.mine.x.data(), qkv + r * 3 * h + head * d, d, wide);
      few<U>().attend(to + r * h + head * d, t.mine.x.data(), t.mine.keys.data(), tokens, wide, d, texts.to_values(), 1 / std::sqrt((float)d),
                      t.mine.floats.data());
    });
  }

  void layers(Thread t, const int64_t *ids, float *logits) {
    float *x = room.data(), *a = x + t.n * h, *out = a + t.n * h;
    t.team.each(t.n, [&](int64_t r) {
      std::copy_n(model.embeddings[0] + ids[r] * h, h, x + r * h);
      for (int e = 1; e < 3; e++)
        row<float>().accumulate(x + r * h, model.embeddings[e] + ids[e * t.n + r] * h, h);
    });
    auto normed = [&](const float *const *w) {
      return [=, &t](U *to, int64_t r) {
        float moments[2];
        t.mine.floats.resize(h);
        row<float>().norm(t.mine.floats.data(), x + r * h, w[0], w[1], h, kNormEps, moments);
        few<U>().units(to, t.mine.floats.data(), h, padded<U>(h));
      };
    };
    auto plain = [](const float *from, int64_t n) { return [=](U *to, int64_t r) { few<U>().units(to, from + r * n, n, padded<U>(n)); }; };
    for (int64_t i = 0; i < (int64_t)model.layers.size(); i++) {
      const typename Writer<U>::Layer &l = model.layers[i];
      products(t, out, l.qkv, false, false, normed(l.norm));
      attention(t, i, a, out);
      products(t, x, l.dense, true, false, plain(a, h));
      products(t, out, l.wide, false, true, normed(l.second));
      products(t, x, l.narrow, true, false, plain(out, 4 * h));
    }
    if (logits)
      products(t, logits, model.words, false, false, normed(model.last));
  }

public:
  Pages(const Writer<U> &model, int64_t texts, int64_t slots)
      : model(model), texts(model.layers.size(), heads, texts, wide), slots(model.layers.size(), heads, slots, wide) {}

  void pass(const int64_t *ids, const gk_cached_row *rows, const int32_t *places, int64_t width, int64_t n, float *logits, int threads) override {
    for (int64_t i = 0; i < 3 * n; i++)
      if (ids[i] < 0 || ids[i] >= model.sizes[i / n])
        throw std::out_of_range("a token or position that the model does not have");
    for (int64_t r = 0; r < n; r++) {
      const bool reading = rows[r].slot < 0;
      if (reading != rows[0].slot < 0 || !texts.has(rows[r].text) || rows[r].length < 0 || rows[r].sep < 1 ||
          (reading ? rows[r].length >= rows[r].sep : rows[r].length >= width || !slots.has(rows[r].slot)))
        throw std::out_of_range("a row reads or writes what is not there");
      for (int64_t t = 0; !reading && t <= rows[r].length; t++)
        if (!slots.has(places[r * width + t]))
          throw std::out_of_range("a row reads a slot that is not there");
      texts.reserve(rows[r].sep);
      if (!reading)
        slots.reserve(rows[r].length + 1);
    }
    room.resize(n * 6 * h);
    const int64_t weights = (int64_t)model.layers.size() * 12 * h * h + model.words.outs * h, phases = 6 * model.layers.size() + 1;
    const int size = std::max<int64_t>(1, std::min<int64_t>(threads, n * weights / phases / kGrain));
    scratch.resize(std::max<size_t>(scratch.size(), size));
    Barrier barrier;
#pragma omp parallel num_threads(size)
    {
      const int rank = omp_get_thread_num();
      layers({{rank, omp_get_num_threads(), barrier}, scratch[rank], rows, places, width, n}, ids, logits);
    }
  }
};

template <class U> gk_pages *Writer<U>::open(int64_t texts, int64_t slots) const { return new Pages<U>(*this, texts, slots); }

} // namespace
#endif
