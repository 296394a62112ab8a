// y = SiLU(z), or y = z, with z = (1 + s) h + t and h = w (x - m)/r + b: a group norm, a scale and a shift, and SiLU.
//
// Images lie with their channels last, [batch, pixels, channels], as float or bf16; m and r are of a group of channels
// of one image. Written as z = a x + d per channel, forward is two passes over x. r² = mean (x - m)² + eps comes of sums
// of x - o and of its square, o the channel's first value, or the mean of every APART-th where there are more than SMALL:
// at most √SMALL or √APART standard deviations from m. So what r² is off by grows with neither m nor the number of
// pixels. Backward, with dz = dy SiLU'(z),
//
//     dx = k dz/r - (mean(k dz) + (x - m)/r mean(k dz (x - m)/r))/r,    k = (1 + s) w,    means over a group,
//
// and the parameters' gradients are sums over pixels of dz and of dz x. They are given per image, so that a result does
// not depend on how images are shared among threads. Sums are of floats per channel, in a large image over APART rows,
// and of doubles from there on.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

namespace {

const long SMALL = 1024, APART = 64;  // pixels, and pixels or rows

struct bf16 {
    uint16_t bits;
};

inline float number(float x) { return x; }
inline float number(bf16 x) {
    uint32_t bits = uint32_t(x.bits) << 16;
    float result;
    std::memcpy(&result, &bits, 4);
    return result;
}

inline void put(float &place, float x) { place = x; }
inline void put(bf16 &place, float x) {  // to the nearest, ties to even
    uint32_t bits;
    std::memcpy(&bits, &x, 4);
    place.bits = x == x ? (bits + 0x7fff + ((bits >> 16) & 1)) >> 16 : 0x7fc0;
}

// e^x by 2^n e^r with |r| <= ln 2/2 (Cephes' polynomial, relative error 2e-7): the library's own is not vectorised.
inline float exponential(float x) {
    x = std::min(std::max(x, -87.0f), 87.0f);
    float n = std::nearbyint(x * 1.44269504f);
    float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    int32_t bits = (int32_t(n) + 127) << 23;
    float power;
    std::memcpy(&power, &bits, 4);
    return p * power;
}

inline float sigmoid(float z) { return 1.0f / (1.0f + exponential(-z)); }

struct Layer {
    long batch, pixels, channels, groups, members;  // channels and groups are those of all networks
    const float *weight, *bias;
    const float *modulation;  // [batch, 2, channels], s and t; null for none
    bool silu;

    long per_group() const { return channels / groups; }
    // Some pixels are taken as one row, so that loops over a few channels fill the vector registers: as many as a
    // network alone would take, so that its sums are the same beside others.
    long row() const {
        long pixels_in_row = 1;
        while (2 * pixels_in_row * (channels / members) <= 64 && pixels % (2 * pixels_in_row) == 0) pixels_in_row *= 2;
        return pixels_in_row * channels;
    }
    long block() const { return pixels > SMALL ? APART * row() : pixels * channels; }
    float scale(long i, long c) const { return modulation ? 1 + modulation[2 * i * channels + c] : 1; }
    float shift(long i, long c) const { return modulation ? modulation[(2 * i + 1) * channels + c] : 0; }
};

// What a thread works in: a few rows, of which the first two are sums, what these add up to, and dz of an image.
struct Scratch {
    long channels, row;
    std::vector<float> numbers;
    std::vector<double> first, second;

    Scratch(const Layer &layer, long images)
        : channels(layer.channels), row(layer.row()), first(channels), second(channels) {
        numbers.resize(6 * row + images * layer.pixels * layer.channels);
    }
    float *operator[](int i) { return numbers.data() + i * row; }
    void clear() {
        std::fill_n((*this)[0], 2 * row, 0.0f);
        std::fill(first.begin(), first.end(), 0.0);
        std::fill(second.begin(), second.end(), 0.0);
    }
    void add_up() {
        fold(0);
        fold(1);
        for (long c = 0; c < channels; c++) first[c] += (*this)[0][c], second[c] += (*this)[1][c];
        std::fill_n((*this)[0], 2 * row, 0.0f);
    }
    void repeat(int i) {
        for (long j = channels; j < row; j += channels) std::copy_n((*this)[i], channels, (*this)[i] + j);
    }
    void fold(int i) {
        float *sums = (*this)[i];
        for (long j = channels; j < row; j += channels)
            for (long c = 0; c < channels; c++) sums[c] += sums[j + c];
    }
};

// a and d of an image from its groups' (m, 1/r).
void affine(const Layer &layer, long i, const float *moments, Scratch &scratch, int a, int d) {
    for (long g = 0; g < layer.groups; g++)
        for (long c = g * layer.per_group(); c < (g + 1) * layer.per_group(); c++) {
            float slope = moments[2 * g + 1] * layer.weight[c];
            scratch[a][c] = slope * layer.scale(i, c);
            scratch[d][c] = (layer.bias[c] - moments[2 * g] * slope) * layer.scale(i, c) + layer.shift(i, c);
        }
    scratch.repeat(a);
    scratch.repeat(d);
}

template <class T>
void forward_image(const Layer &layer, long i, float eps, const T *__restrict x, T *__restrict y, float *moments,
                   Scratch &scratch) {
    const long row = scratch.row, size = layer.pixels * layer.channels;
    float *__restrict first = scratch[0], *__restrict second = scratch[1], *__restrict origin = scratch[2];
    scratch.clear();
    const long apart = layer.pixels > SMALL ? APART : layer.pixels;
    std::fill_n(origin, layer.channels, 0.0f);
    for (long p = 0; p < layer.pixels; p += apart)
        for (long c = 0; c < layer.channels; c++) origin[c] += number(x[p * layer.channels + c]);
    for (long c = 0; c < layer.channels; c++) origin[c] /= (layer.pixels - 1) / apart + 1;
    scratch.repeat(2);
    for (long part = 0; part < size; part += layer.block()) {
        const long end = std::min(part + layer.block(), size);
        for (long p = part; p < end; p += row)
            for (long j = 0; j < row; j++) {
                float value = number(x[p + j]) - origin[j];
                first[j] += value;
                second[j] += value * value;
            }
        scratch.add_up();
    }
    const double share = 1.0 / layer.pixels;
    for (long g = 0; g < layer.groups; g++) {
        const long begin = g * layer.per_group(), end = begin + layer.per_group();
        double mean = 0, square = 0;
        for (long c = begin; c < end; c++) mean += origin[c] + share * scratch.first[c];
        mean /= layer.per_group();
        for (long c = begin; c < end; c++) {
            double own = share * scratch.first[c], off = origin[c] + own - mean;
            square += share * scratch.second[c] + (off - own) * (off + own);
        }
        moments[2 * g] = mean;
        moments[2 * g + 1] = 1 / std::sqrt(std::max(square / layer.per_group(), 0.0) + eps);
    }
    affine(layer, i, moments, scratch, 2, 3);
    const float *__restrict slope = scratch[2], *__restrict offset = scratch[3];
    if (layer.silu)
        for (long p = 0; p < size; p += row)
            for (long j = 0; j < row; j++) {
                float z = slope[j] * number(x[p + j]) + offset[j];
                put(y[p + j], z * sigmoid(z));
            }
    else
        for (long p = 0; p < size; p += row)
            for (long j = 0; j < row; j++) put(y[p + j], slope[j] * number(x[p + j]) + offset[j]);
}

template <class T>
void backward_image(const Layer &layer, long i, const float *moments, const T *__restrict dy, const T *__restrict x,
                    T *__restrict dx, float *dweight, float *dbias, float *dmodulation, Scratch &scratch) {
    const long row = scratch.row, channels = layer.channels, size = layer.pixels * channels;
    const long count = layer.pixels * layer.per_group();
    affine(layer, i, moments, scratch, 2, 3);
    const float *__restrict slope = scratch[2], *__restrict offset = scratch[3];
    float *__restrict first = scratch[0], *__restrict second = scratch[1], *__restrict kept = scratch[6];
    scratch.clear();
    for (long part = 0; part < size; part += layer.block()) {
        const long end = std::min(part + layer.block(), size);
        if (layer.silu)
            for (long p = part; p < end; p += row)
                for (long j = 0; j < row; j++) {
                    float value = number(x[p + j]), z = slope[j] * value + offset[j], s = sigmoid(z);
                    float gradient = number(dy[p + j]) * s * (1 + z * (1 - s));
                    kept[p + j] = gradient;
                    first[j] += gradient;
                    second[j] += gradient * value;
                }
        else
            for (long p = part; p < end; p += row)
                for (long j = 0; j < row; j++) {
                    float gradient = number(dy[p + j]);
                    kept[p + j] = gradient;
                    first[j] += gradient;
                    second[j] += gradient * number(x[p + j]);
                }
        scratch.add_up();
    }
    for (long c = 0; c < channels; c++) first[c] = scratch.first[c], second[c] = scratch.second[c];
    float *__restrict of_x = scratch[4], *__restrict rest = scratch[5];
    for (long g = 0; g < layer.groups; g++) {
        const float mean = moments[2 * g], rate = moments[2 * g + 1];
        double of_k = 0, of_kx = 0;
        for (long c = g * layer.per_group(); c < (g + 1) * layer.per_group(); c++) {
            float normed = rate * (second[c] - mean * first[c]), scale = layer.scale(i, c);
            dweight[c] = scale * normed;
            dbias[c] = scale * first[c];
            if (dmodulation) {
                dmodulation[c] = layer.weight[c] * normed + layer.bias[c] * first[c];
                dmodulation[channels + c] = first[c];
            }
            of_k += scale * layer.weight[c] * first[c];
            of_kx += scale * layer.weight[c] * normed;
        }
        for (long c = g * layer.per_group(); c < (g + 1) * layer.per_group(); c++) {
            of_x[c] = -rate * rate * of_kx / count;
            rest[c] = -rate * of_k / count - mean * of_x[c];
        }
    }
    scratch.repeat(4);
    scratch.repeat(5);
    for (long p = 0; p < size; p += row)
        for (long j = 0; j < row; j++) put(dx[p + j], slope[j] * kept[p + j] + of_x[j] * number(x[p + j]) + rest[j]);
}

template <class T>
void forward(const Layer &layer, float eps, const T *x, T *y, float *moments, int threads) {
    const long size = layer.pixels * layer.channels;
#pragma omp parallel num_threads(threads) if (threads > 1)
    {
        Scratch scratch(layer, 0);
#pragma omp for
        for (long i = 0; i < layer.batch; i++)
            forward_image(layer, i, eps, x + i * size, y + i * size, moments + 2 * i * layer.groups, scratch);
    }
}

template <class T>
void backward(const Layer &layer, const float *moments, const T *dy, const T *x, T *dx, float *dweight, float *dbias,
              float *dmodulation, int threads) {
    const long size = layer.pixels * layer.channels, channels = layer.channels;
#pragma omp parallel num_threads(threads) if (threads > 1)
    {
        Scratch scratch(layer, 1);
#pragma omp for
        for (long i = 0; i < layer.batch; i++)
            backward_image(layer, i, moments + 2 * i * layer.groups, dy + i * size, x + i * size, dx + i * size,
                           dweight + i * channels, dbias + i * channels,
                           dmodulation ? dmodulation + 2 * i * channels : nullptr, scratch);
    }
    // The sums over images end up in the first one's place.
    for (long i = 1; i < layer.batch; i++)
        for (long c = 0; c < channels; c++) dweight[c] += dweight[i * channels + c], dbias[c] += dbias[i * channels + c];
}

}  // namespace

#define EXPORTED(NAME, T)                                                                                              \
    extern "C" void forward_##NAME(long batch, long pixels, long channels, long groups, long members,                  \
                                   const float *weight, const float *bias, const float *modulation, int silu,          \
                                   int threads, float eps,                                                             \
                                   const T *x, T *y, float *moments) {                                                 \
        forward(Layer{batch, pixels, channels, groups, members, weight, bias, modulation, silu != 0}, eps, x, y, moments,       \
                threads);                                                                                              \
    }                                                                                                                  \
    extern "C" void backward_##NAME(long batch, long pixels, long channels, long groups, long members,                 \
                                    const float *weight, const float *bias, const float *modulation, int silu,         \
                                    int threads,                                                                       \
                                    const float *moments, const T *dy, const T *x, T *dx, float *dweight,              \
                                    float *dbias, float *dmodulation) {                                                \
        backward(Layer{batch, pixels, channels, groups, members, weight, bias, modulation, silu != 0}, moments, dy, x, dx,      \
                 dweight, dbias, dmodulation, threads);                                                                \
    }
EXPORTED(float32, float)
EXPORTED(bfloat16, bf16)
