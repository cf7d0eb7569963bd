// The integer encodings of docs/format/chunk.md in C: the same algorithm as Sources/ChunkCodec, to measure Swift against.
#ifndef INDUSEDGE_CODEC_H
#define INDUSEDGE_CODEC_H

#include <stddef.h>
#include <stdint.h>

/// Memory that encoder and decoder work in.
struct column_scratch;

/// For columns of at most `rows` rows; NULL without memory.
struct column_scratch *column_scratch_new(size_t rows);
void column_scratch_free(struct column_scratch *scratch);

/// Bytes of output that a column of `rows` rows may need.
size_t column_bytes_max(size_t rows);

/// Encodes `count` values, at least one; returns the bytes written.
size_t column_encode(const int64_t *values, size_t count, uint8_t *output, struct column_scratch *scratch);

/// Decodes `count` values, at least one; 0, or -1 for bytes that are no such column.
int column_decode(const uint8_t *bytes, size_t byte_count, int64_t *values, size_t count, struct column_scratch *scratch);

#endif
