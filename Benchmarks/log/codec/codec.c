// The integer encodings of docs/format/chunk.md in C, function by function as in Sources/ChunkCodec.
#include "codec.h"

#include <stdlib.h>
#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "written for little-endian machines"
#endif

enum {
    BLOCK_ROWS = 256,
    DIVISOR_FLAG = 0x80,
    EXCEPTION_FLAG = 0x80,
    SLOPE_FRACTION = 8,
    DICTIONARY_MAX = 256,
    SAMPLED_BLOCKS = 4,
    INNER_COLUMN_BITS = 80,
    DIVISOR_PROBES = 16,
    TABLE_PLACES = 1024,
    BLOCK_HEAD_BITS = 24,
    BLOCK_PROBES = 16,
    SLACK = 80,
};

enum prediction { NONE, DELTA, DELTA_OF_DELTA, LINE };
enum layout { CONSTANT = 1, PACKED, RUNS, DICTIONARY };

#define INLINE static inline __attribute__((always_inline))

struct column_scratch {
    int64_t block[BLOCK_ROWS + 8];
    uint8_t tail[BLOCK_ROWS * 8 + SLACK];
    uint32_t table[TABLE_PLACES];
    int64_t *quotients, *values, *lengths;
};

struct column_scratch *column_scratch_new(size_t rows) {
    struct column_scratch *scratch = calloc(1, sizeof *scratch);
    if (!scratch) return NULL;
    scratch->quotients = malloc(rows * 8);
    scratch->values = malloc((rows > DICTIONARY_MAX ? rows : DICTIONARY_MAX) * 8);
    scratch->lengths = malloc(rows * 8);
    return scratch;
}

void column_scratch_free(struct column_scratch *scratch) {
    free(scratch->quotients);
    free(scratch->values);
    free(scratch->lengths);
    free(scratch);
}

size_t column_bytes_max(size_t rows) { return 16 * rows + 24 * (rows / BLOCK_ROWS + 1) + 1024; }

INLINE int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }
INLINE int64_t max64(int64_t a, int64_t b) { return a > b ? a : b; }
INLINE int64_t sub(int64_t a, int64_t b) { return (int64_t)((uint64_t)a - (uint64_t)b); }
INLINE int64_t add(int64_t a, int64_t b) { return (int64_t)((uint64_t)a + (uint64_t)b); }
INLINE int64_t mul(int64_t a, int64_t b) { return (int64_t)((uint64_t)a * (uint64_t)b); }
INLINE int width_of(uint64_t largest) { return largest ? 64 - __builtin_clzll(largest) : 0; }
INLINE uint64_t zigzag(int64_t value) { return (uint64_t)value << 1 ^ (uint64_t)(value >> 63); }
INLINE int64_t unzigzag(uint64_t value) { return (int64_t)(value >> 1 ^ (0 - (value & 1))); }
INLINE int64_t uvarint_bytes(uint64_t value) { return (width_of(value | 1) + 6) / 7; }
INLINE int64_t packed_bytes(int64_t count, int width) { return (count * width + 7) >> 3; }
INLINE int head_count(enum prediction prediction) { return prediction == DELTA ? 1 : prediction == DELTA_OF_DELTA ? 2 : 0; }

INLINE uint8_t *put_uvarint(uint8_t *out, uint64_t value) {
    while (value >= 0x80) {
        *out++ = (uint8_t)value | 0x80;
        value >>= 7;
    }
    *out++ = (uint8_t)value;
    return out;
}

INLINE uint8_t *put_svarint(uint8_t *out, int64_t value) { return put_uvarint(out, zigzag(value)); }

// Bit packing.

INLINE void pack_groups(const int64_t *values, int64_t count, int64_t base, int width, uint8_t *out) {
    for (int64_t remaining = count; remaining > 0; remaining -= 8) {
        uint64_t word = 0;
        int filled = 0;
        uint8_t *target = out;
#pragma clang loop unroll(full)
        for (int index = 0; index < 8; index++) {
            uint64_t offset = (uint64_t)values[index] - (uint64_t)base;
            word |= offset << (filled & 63);
            filled += width;
            if (filled >= 64) {
                memcpy(target, &word, 8);
                target += 8;
                filled -= 64;
                word = filled == 0 ? 0 : offset >> ((width - filled) & 63);
            }
        }
        memcpy(target, &word, 8);
        out += width;
        values += 8;
    }
}

INLINE void unpack_groups(const uint8_t *in, int64_t count, int64_t base, int width, int64_t *values) {
    const uint64_t mask = ~(uint64_t)0 >> ((64 - width) & 63);
    for (int64_t remaining = count; remaining > 0; remaining -= 8) {
#pragma clang loop unroll(full)
        for (int index = 0; index < 8; index++) {
            int bit = index * width, shift = bit & 7;
            const uint8_t *place = in + (bit >> 3);
            uint64_t offset;
            memcpy(&offset, place, 8);
            offset >>= shift;
            if (width > 57 && shift + width > 64) offset |= (uint64_t)place[8] << ((64 - shift) & 63);
            values[index] = (int64_t)((uint64_t)base + (offset & mask));
        }
        in += width;
        values += 8;
    }
}

#define WIDTHS(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15) X(16) \
    X(17) X(18) X(19) X(20) X(21) X(22) X(23) X(24) X(25) X(26) X(27) X(28) X(29) X(30) X(31) X(32)

static void pack(const int64_t *values, int64_t count, int64_t base, int width, uint8_t *out) {
    switch (width) {
    case 0: break;
#define CASE(w) case w: pack_groups(values, count, base, w, out); break;
    WIDTHS(CASE)
#undef CASE
    default: pack_groups(values, count, base, width, out);
    }
}

static void unpack(const uint8_t *in, int64_t count, int64_t base, int width, int64_t *values) {
    switch (width) {
    case 0:
        for (int64_t index = 0; index < count; index++) values[index] = base;
        break;
#define CASE(w) case w: unpack_groups(in, count, base, w, values); break;
    WIDTHS(CASE)
#undef CASE
    default: unpack_groups(in, count, base, width, values);
    }
}

// Block plans.

struct plan {
    int64_t base, exceptions, bits;
    int width;
};

static int middle_of(const int64_t *residuals, int64_t count, int width, int64_t *middle) {
    int64_t step = count / BLOCK_PROBES;
    int64_t lowest = min64(residuals[0], residuals[step]), low = max64(residuals[0], residuals[step]), highest = low, high = lowest;
    for (int64_t index = 2; index < BLOCK_PROBES; index++) {
        int64_t value = residuals[index * step];
        low = min64(low, max64(lowest, value));
        lowest = min64(lowest, value);
        high = max64(high, min64(highest, value));
        highest = max64(highest, value);
    }
    uint64_t spread = (uint64_t)sub(high, low);
    if (width_of(spread) + 2 > width) return 0;
    *middle = add(low, (int64_t)(spread / 2));
    return 1;
}

static void try_exceptions(struct plan *plan, const int64_t *residuals, int64_t count, int64_t lowest) {
    int64_t middle;
    if (!middle_of(residuals, count, plan->width, &middle)) return;
    uint16_t histogram[65] = {0};
    for (int64_t index = 0; index < count; index++) {
        int64_t distance = sub(residuals[index], middle);
        histogram[1 + width_of((uint64_t)(distance ^ distance >> 63))]++;
    }
    int full = plan->width, candidate = full - 1;
    int64_t exception_bits = 8 + 8 * ((full + 8) / 7), outside = 0;
    for (int index = 64; index > candidate; index--) outside += histogram[index];
    while (candidate > 0 && outside <= 255) {
        int64_t cost = BLOCK_HEAD_BITS + 8 + count * candidate + outside * exception_bits;
        if (cost < plan->bits) {
            plan->bits = cost;
            plan->width = candidate;
            plan->exceptions = outside;
        }
        outside += histogram[candidate];
        candidate--;
    }
    if (plan->exceptions == 0 && plan->width == full) return;
    plan->base = max64(lowest, sub(middle, (int64_t)((uint64_t)1 << (plan->width - 1))));
}

static struct plan plan_block(const int64_t *residuals, int64_t count) {
    int64_t lowest = residuals[0], highest = residuals[0];
    for (int64_t index = 1; index < count; index++) {
        lowest = min64(lowest, residuals[index]);
        highest = max64(highest, residuals[index]);
    }
    struct plan plan = {lowest, 0, 0, width_of((uint64_t)highest - (uint64_t)lowest)};
    plan.bits = BLOCK_HEAD_BITS + count * plan.width;
    if (count >= BLOCK_PROBES && plan.width >= 3) try_exceptions(&plan, residuals, count, lowest);
    return plan;
}

// Encoder.

static void count_runs(const int64_t *values, int64_t count, int64_t *value_runs, int64_t *delta_runs) {
    *value_runs = *delta_runs = 1;
    if (count <= 1) return;
    int64_t by_value = 1 + (values[1] != values[0]), by_delta = 1;
    for (int64_t index = 2; index < count; index++) {
        int64_t delta = sub(values[index], values[index - 1]);
        by_value += delta != 0;
        by_delta += delta != sub(values[index - 1], values[index - 2]);
    }
    *value_runs = by_value;
    *delta_runs = by_delta;
}

static int64_t slope_of(const int64_t *values, int64_t count) {
    int64_t rise, limit = (int64_t)1 << (62 - SLOPE_FRACTION);
    if (__builtin_sub_overflow(values[count - 1], values[0], &rise) || rise <= -limit || rise >= limit || count <= 1) return 0;
    return rise * (1 << SLOPE_FRACTION) / (count - 1);
}

INLINE void residuals_of(
    const int64_t *values, int64_t start, int64_t count, enum prediction prediction, int64_t slope, int64_t *restrict block) {
    values += start;
    switch (prediction) {
    case NONE: memcpy(block, values, (size_t)count * 8); break;
    case DELTA:
        for (int64_t index = 0; index < count; index++) block[index] = sub(values[index + 1], values[index]);
        break;
    case DELTA_OF_DELTA:
        for (int64_t index = 0; index < count; index++)
            block[index] = add(sub(values[index + 2], mul(2, values[index + 1])), values[index]);
        break;
    case LINE:
        for (int64_t index = 0; index < count; index++) block[index] = sub(values[index], mul(index, slope) >> SLOPE_FRACTION);
        break;
    }
}

static int64_t head_bytes(const int64_t *values, enum prediction prediction, int64_t slope) {
    int64_t first = uvarint_bytes(zigzag(values[0]));
    switch (prediction) {
    case NONE: return 0;
    case DELTA: return first;
    case DELTA_OF_DELTA: return first + uvarint_bytes(zigzag(sub(values[1], values[0])));
    default: return uvarint_bytes(zigzag(slope));
    }
}

static enum prediction predict(const int64_t *values, int64_t count, int64_t slope, int64_t *block, int64_t *best_bits) {
    enum prediction best = NONE;
    *best_bits = INT64_MAX;
    for (enum prediction prediction = NONE; prediction <= LINE; prediction++) {
        if ((count <= 2 && prediction != NONE) || (prediction == LINE && slope == 0)) continue;
        int64_t residual_count = count - head_count(prediction);
        int64_t blocks = (residual_count + BLOCK_ROWS - 1) / BLOCK_ROWS;
        int64_t samples = min64(blocks, SAMPLED_BLOCKS), bits = 0, rows = 0;
        for (int64_t sample = 0; sample < samples; sample++) {
            int64_t start = sample * blocks / samples * BLOCK_ROWS;
            int64_t block_count = min64(BLOCK_ROWS, residual_count - start);
            residuals_of(values, start, block_count, prediction, slope, block);
            bits += plan_block(block, block_count).bits;
            rows += block_count;
        }
        bits = bits * residual_count / rows + head_bytes(values, prediction, slope) * 8;
        if (bits < *best_bits) {
            *best_bits = bits;
            best = prediction;
        }
    }
    return best;
}

static uint8_t *put_exceptions(uint8_t *out, int64_t *block, int64_t count, struct plan plan, uint8_t *head) {
    int64_t outside[BLOCK_ROWS], found = 0;
    uint8_t *count_place = out++;
    for (int64_t index = 0; index < count; index++) {
        int64_t difference = sub(block[index], plan.base);
        if ((uint64_t)difference >> plan.width == 0) continue;
        *out++ = (uint8_t)index;
        outside[found++] = difference;
        block[index] = plan.base;
    }
    if (found == 0) return count_place;
    *count_place = (uint8_t)found;
    *head = (uint8_t)plan.width | EXCEPTION_FLAG;
    for (int64_t index = 0; index < found; index++) out = put_svarint(out, outside[index]);
    return out;
}

INLINE uint8_t *put_block(uint8_t *out, int64_t *block, int64_t count, struct plan plan, int64_t previous_base) {
    uint8_t *head = out;
    *out++ = (uint8_t)plan.width;
    out = put_svarint(out, sub(plan.base, previous_base));
    if (plan.exceptions > 0) out = put_exceptions(out, block, count, plan, head);
    for (int64_t index = count; index < ((count + 7) & ~7); index++) block[index] = plan.base;
    pack(block, count, plan.base, plan.width, out);
    return out + packed_bytes(count, plan.width);
}

static uint8_t *put_packed(
    uint8_t *out, const int64_t *values, int64_t count, enum prediction prediction, int64_t slope, int64_t *block) {
    int64_t residual_count = count - head_count(prediction), previous_base = 0;
    for (int64_t start = 0; start < residual_count; start += BLOCK_ROWS) {
        int64_t block_count = min64(BLOCK_ROWS, residual_count - start);
        residuals_of(values, start, block_count, prediction, slope, block);
        struct plan plan = plan_block(block, block_count);
        out = put_block(out, block, block_count, plan, previous_base);
        previous_base = plan.base;
    }
    return out;
}

static uint8_t *put_column(uint8_t *out, const int64_t *values, int64_t count, int inner, struct column_scratch *scratch);

static uint8_t *put_counted_column(uint8_t *out, const int64_t *values, int64_t count, struct column_scratch *scratch) {
    uint8_t *inner = out + 10;
    int64_t byte_count = put_column(inner, values, count, 1, scratch) - inner;
    out = put_uvarint(out, (uint64_t)byte_count);
    memmove(out, inner, (size_t)byte_count);
    return out + byte_count;
}

static uint8_t *put_runs(
    uint8_t *out, const int64_t *values, int64_t count, enum prediction prediction, struct column_scratch *scratch) {
    int64_t residual_count = count - head_count(prediction), runs = 0, start = 0;
    int is_delta = prediction == DELTA;
    int64_t current = is_delta ? sub(values[1], values[0]) : values[0];
    for (int64_t index = 1; index < residual_count; index++) {
        int64_t residual = is_delta ? sub(values[index + 1], values[index]) : values[index];
        if (residual == current) continue;
        scratch->values[runs] = current;
        scratch->lengths[runs++] = index - start - 1;
        start = index;
        current = residual;
    }
    scratch->values[runs] = current;
    scratch->lengths[runs++] = residual_count - start - 1;
    out = put_uvarint(out, (uint64_t)runs);
    out = put_counted_column(out, scratch->values, runs, scratch);
    return put_column(out, scratch->lengths, runs, 1, scratch);
}

static int64_t dictionary_of(const int64_t *values, int64_t count, int64_t bits, struct column_scratch *scratch) {
    int64_t bits_per_row = bits / count;
    if (bits_per_row < 1) return 0;
    int64_t most = min64(DICTIONARY_MAX, (int64_t)1 << min64(bits_per_row - 1, 8)), found = 0;
    // A quarter full at most, and no larger than needed, as it is cleared each time.
    int table_bits = width_of((uint64_t)most) + 1;
    uint64_t places = (uint64_t)1 << table_bits;
    memset(scratch->table, 0, places * sizeof *scratch->table);
    for (int64_t row = 0; row < count; row++) {
        int64_t value = values[row];
        uint64_t place = (uint64_t)value * 0x9E3779B97F4A7C15 >> (64 - table_bits);
        for (;;) {
            int64_t entry = scratch->table[place];
            if (entry == 0) {
                if (found >= most) return 0;
                scratch->values[found] = value;
                scratch->lengths[row] = found++;
                scratch->table[place] = (uint32_t)found;
                break;
            }
            if (scratch->values[entry - 1] == value) {
                scratch->lengths[row] = entry - 1;
                break;
            }
            place = (place + 1) & (places - 1);
        }
    }
    int64_t cost = count * width_of((uint64_t)found - 1) + found * (bits_per_row + 1) + INNER_COLUMN_BITS;
    return cost < bits ? found : 0;
}

static uint64_t greatest_common_divisor(uint64_t larger, uint64_t smaller) {
    while (smaller != 0) {
        uint64_t rest = larger % smaller;
        larger = smaller;
        smaller = rest;
    }
    return larger;
}

INLINE uint64_t magnitude(int64_t value) { return value < 0 ? 0 - (uint64_t)value : (uint64_t)value; }

static uint64_t take_divisor(const int64_t **values, int64_t count, int64_t changes, struct column_scratch *scratch) {
    if (count < 4) return 1;
    const int64_t *rows = *values;
    int64_t first = rows[0], step = max64(1, count / DIVISOR_PROBES);
    uint64_t divisor = 0;
    for (int64_t row = step; row < count; row += step) {
        divisor = greatest_common_divisor(divisor, magnitude(sub(rows[row], first)));
        if (divisor == 1) return 1;
    }
    for (int64_t row = 0; row < count;) {
        if (divisor <= 1 || divisor >= (uint64_t)1 << 62) return 1;
        int64_t factor = (int64_t)divisor;
        for (row = 0; row < count; row++) {
            int64_t difference = sub(rows[row], first), quotient = difference / factor;
            scratch->quotients[row] = quotient;
            if (mul(quotient, factor) != difference) {
                divisor = greatest_common_divisor(divisor, magnitude(difference));
                break;
            }
        }
    }
    int64_t saved = changes * (width_of(divisor) - 1);
    if (saved <= (uvarint_bytes(divisor) + uvarint_bytes(zigzag(first))) * 8) return 1;
    *values = scratch->quotients;
    return divisor;
}

static int64_t run_bits(int64_t runs, int64_t count, int64_t bits) {
    if (runs > count / 2) return INT64_MAX;
    return runs * (width_of((uint64_t)(2 * count / runs)) + bits / count + 1) + INNER_COLUMN_BITS;
}

INLINE uint8_t encoding(enum prediction prediction, enum layout layout) { return (uint8_t)(prediction << 4 | layout); }

static uint8_t *put_column(uint8_t *out, const int64_t *values, int64_t count, int inner, struct column_scratch *scratch) {
    int64_t value_runs, delta_runs;
    count_runs(values, count, &value_runs, &delta_runs);
    if (value_runs == 1) {
        *out++ = CONSTANT;
        return put_svarint(out, values[0]);
    }
    if (delta_runs == 1) {
        *out++ = encoding(DELTA, CONSTANT);
        out = put_svarint(out, values[0]);
        return put_svarint(out, sub(values[1], values[0]));
    }
    int64_t offset = values[0];
    uint64_t divisor = inner ? 1 : take_divisor(&values, count, min64(value_runs, delta_runs), scratch);
    int64_t slope = slope_of(values, count), bits;
    enum prediction prediction = predict(values, count, slope, scratch->block, &bits), chosen = prediction;
    enum layout layout = PACKED;
    int64_t chosen_bits = bits, entries = 0;
    if (!inner) {
        int64_t as_values = run_bits(value_runs, count, bits), as_deltas = run_bits(delta_runs, count, bits);
        if (as_values < chosen_bits) {
            layout = RUNS;
            chosen = NONE;
            chosen_bits = as_values;
        }
        if (as_deltas < chosen_bits) {
            layout = RUNS;
            chosen = DELTA;
            chosen_bits = as_deltas;
        }
        if (bits >= 2 * count && count >= 16) {
            entries = dictionary_of(values, count, chosen_bits, scratch);
            if (entries > 0) {
                layout = DICTIONARY;
                chosen = NONE;
            }
        }
    }
    *out++ = (divisor > 1 ? DIVISOR_FLAG : 0) | encoding(chosen, layout);
    if (divisor > 1) {
        out = put_uvarint(out, divisor);
        out = put_svarint(out, offset);
    }
    if (chosen == LINE) {
        out = put_svarint(out, slope);
    } else if (chosen != NONE) {
        out = put_svarint(out, values[0]);
        if (chosen == DELTA_OF_DELTA) out = put_svarint(out, sub(values[1], values[0]));
    }
    switch (layout) {
    case RUNS: return put_runs(out, values, count, chosen, scratch);
    case DICTIONARY:
        *out++ = (uint8_t)(entries - 1);
        out = put_counted_column(out, scratch->values, entries, scratch);
        return put_packed(out, scratch->lengths, count, NONE, 0, scratch->block);
    default: return put_packed(out, values, count, chosen, slope, scratch->block);
    }
}

size_t column_encode(const int64_t *values, size_t count, uint8_t *output, struct column_scratch *scratch) {
    return (size_t)(put_column(output, values, (int64_t)count, 0, scratch) - output);
}

// Decoder.

struct source {
    const uint8_t *next, *end;
};

static int get_uvarint(struct source *source, uint64_t *value) {
    *value = 0;
    for (int shift = 0;; shift += 7) {
        if (source->next >= source->end) return -1;
        uint8_t byte = *source->next++;
        if (shift == 63 && byte > 1) return -1;
        *value |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80) return 0;
    }
}

INLINE int get_svarint(struct source *source, int64_t *value) {
    uint64_t coded;
    if (get_uvarint(source, &coded)) return -1;
    *value = unzigzag(coded);
    return 0;
}

INLINE void sum(int64_t *residuals, int64_t count) {
    int64_t value = residuals[-1];
    for (int64_t index = 0; index < count; index++) residuals[index] = value = add(value, residuals[index]);
}

INLINE void sum_twice(int64_t *residuals, int64_t count) {
    int64_t value = residuals[-1], difference = sub(value, residuals[-2]);
    for (int64_t index = 0; index < count; index++) {
        difference = add(difference, residuals[index]);
        residuals[index] = value = add(value, difference);
    }
}

INLINE int get_block(struct source *source, int64_t *block, int64_t count, int64_t *base, struct column_scratch *scratch) {
    if (source->next >= source->end) return -1;
    uint8_t head = *source->next++;
    int width = head & ~EXCEPTION_FLAG;
    int64_t difference;
    if (width > 64 || get_svarint(source, &difference)) return -1;
    *base = add(*base, difference);
    const uint8_t *exceptions = NULL;
    int64_t exception_count = 0;
    struct source exception_values = *source;
    if (head & EXCEPTION_FLAG) {
        if (source->next >= source->end) return -1;
        exception_count = *source->next++;
        if (exception_count == 0 || exception_count > count || exception_count > source->end - source->next) return -1;
        exceptions = source->next;
        source->next += exception_count;
        exception_values = *source;
        uint64_t skipped;
        for (int64_t number = 0; number < exception_count; number++)
            if (get_uvarint(source, &skipped)) return -1;
    }
    int64_t byte_count = packed_bytes(count, width), remaining = source->end - source->next;
    if (byte_count > remaining) return -1;
    const uint8_t *offsets = source->next;
    source->next += byte_count;
    int64_t unused = byte_count * 8 - count * width;
    if (unused > 0 && offsets[byte_count - 1] >> (8 - unused)) return -1;
    if (remaining < byte_count + SLACK) {
        memcpy(scratch->tail, offsets, (size_t)byte_count);
        offsets = scratch->tail;
    }
    int64_t whole = count & ~7;
    unpack(offsets, whole, *base, width, block);
    if (whole < count) {
        unpack(offsets + whole / 8 * width, 8, *base, width, scratch->block);
        memcpy(block + whole, scratch->block, (size_t)(count - whole) * 8);
    }
    int before = -1;
    for (int64_t number = 0; number < exception_count; number++) {
        int place = exceptions[number];
        if (place <= before || place >= count || get_svarint(&exception_values, &difference)) return -1;
        before = place;
        block[place] = add(*base, difference);
    }
    return 0;
}

static int get_packed(
    struct source *source, int64_t *residuals, int64_t count, enum prediction prediction, int64_t slope, struct column_scratch *scratch) {
    int64_t base = 0;
    for (int64_t start = 0; start < count; start += BLOCK_ROWS) {
        int64_t block_count = min64(BLOCK_ROWS, count - start), *block = residuals + start;
        if (get_block(source, block, block_count, &base, scratch)) return -1;
        switch (prediction) {
        case NONE: break;
        case DELTA: sum(block, block_count); break;
        case DELTA_OF_DELTA: sum_twice(block, block_count); break;
        case LINE:
            for (int64_t index = 0; index < block_count; index++) block[index] = add(block[index], mul(index, slope) >> SLOPE_FRACTION);
            break;
        }
    }
    return 0;
}

static int get_column(struct source source, int64_t *values, int64_t count, int inner, struct column_scratch *scratch);

static int get_counted_column(struct source *source, int64_t *values, int64_t count, struct column_scratch *scratch) {
    uint64_t byte_count;
    if (get_uvarint(source, &byte_count) || byte_count > (uint64_t)(source->end - source->next)) return -1;
    struct source inner = {source->next, source->next + byte_count};
    source->next = inner.end;
    return get_column(inner, values, count, 1, scratch);
}

static int get_runs(struct source *source, int64_t *residuals, int64_t count, struct column_scratch *scratch) {
    uint64_t runs;
    if (get_uvarint(source, &runs) || runs < 1 || runs > (uint64_t)count) return -1;
    if (get_counted_column(source, scratch->values, (int64_t)runs, scratch)) return -1;
    if (get_column(*source, scratch->lengths, (int64_t)runs, 1, scratch)) return -1;
    source->next = source->end;
    int64_t row = 0;
    for (uint64_t run = 0; run < runs; run++) {
        int64_t length = scratch->lengths[run], value = scratch->values[run];
        if (length < 0 || length >= count - row) return -1;
        for (int64_t index = 0; index <= length; index++) residuals[row + index] = value;
        row += length + 1;
    }
    return row == count ? 0 : -1;
}

static int get_dictionary(struct source *source, int64_t *residuals, int64_t count, struct column_scratch *scratch) {
    if (source->next >= source->end) return -1;
    int64_t entries = *source->next++ + 1;
    if (get_counted_column(source, scratch->values, entries, scratch)) return -1;
    if (get_packed(source, residuals, count, NONE, 0, scratch)) return -1;
    uint64_t largest = 0;
    for (int64_t row = 0; row < count; row++) largest = largest > (uint64_t)residuals[row] ? largest : (uint64_t)residuals[row];
    if (largest >= (uint64_t)entries) return -1;
    for (int64_t row = 0; row < count; row++) residuals[row] = scratch->values[residuals[row]];
    return 0;
}

static int get_column(struct source source, int64_t *values, int64_t count, int inner, struct column_scratch *scratch) {
    if (source.next >= source.end) return -1;
    uint8_t code = *source.next++;
    enum prediction prediction = (enum prediction)(code >> 4 & 7);
    enum layout layout = (enum layout)(code & 15);
    if (layout < CONSTANT || layout > DICTIONARY || prediction > LINE || (layout != PACKED && prediction > DELTA) ||
        (layout == DICTIONARY && prediction != NONE) || (inner && layout > PACKED))
        return -1;
    uint64_t divisor = 1;
    int64_t offset = 0, slope = 0, difference;
    if (code & DIVISOR_FLAG && (get_uvarint(&source, &divisor) || get_svarint(&source, &offset) || divisor <= 1)) return -1;
    int64_t residual_count = count - head_count(prediction), *residuals = values + head_count(prediction);
    if (residual_count < 0) return -1;
    if (prediction == LINE) {
        if (get_svarint(&source, &slope)) return -1;
    } else if (prediction != NONE) {
        if (get_svarint(&source, values)) return -1;
        if (prediction == DELTA_OF_DELTA) {
            if (get_svarint(&source, &difference)) return -1;
            values[1] = add(values[0], difference);
        }
    }
    switch (layout) {
    case CONSTANT:
        if (get_svarint(&source, &difference)) return -1;
        for (int64_t index = 0; index < residual_count; index++) residuals[index] = difference;
        break;
    case PACKED:
        if (get_packed(&source, residuals, residual_count, prediction, slope, scratch)) return -1;
        break;
    case RUNS:
        if (get_runs(&source, residuals, residual_count, scratch)) return -1;
        break;
    case DICTIONARY:
        if (get_dictionary(&source, residuals, residual_count, scratch)) return -1;
        break;
    }
    if (layout != PACKED && prediction == DELTA) sum(residuals, residual_count);
    if (source.next != source.end) return -1;
    if (divisor > 1)
        for (int64_t index = 0; index < count; index++) values[index] = add(offset, mul((int64_t)divisor, values[index]));
    return 0;
}

int column_decode(const uint8_t *bytes, size_t byte_count, int64_t *values, size_t count, struct column_scratch *scratch) {
    struct source source = {bytes, bytes + byte_count};
    return get_column(source, values, (int64_t)count, 0, scratch);
}
