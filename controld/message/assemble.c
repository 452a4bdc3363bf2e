/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of an open message. Chunks lie where their offsets say; a slot per index remembers which part. The checksum
 * grows over the chunks that follow one another from the beginning; once bytes below it change it is computed over all
 * at the end, and then not again for a while: a stranger buys no hashing with small packets. */
#include "controld/message/core.h"

/* All but the last have the least size, so there cannot be more. */
static uint64_t slot_count(uint64_t length)
{
	return length ? length / FRAME_CHUNK_MIN_BYTES + 1 : 0;
}

size_t assemble_cost(uint64_t length)
{
	return (size_t)(sizeof(struct incoming) + sizeof(struct blake3) + length +
			slot_count(length) * sizeof(struct slot));
}

bool assemble_init(struct incoming *in)
{
	in->slot_count = (uint32_t)slot_count(in->length);
	in->hash = malloc(sizeof(*in->hash));
	/* Neither is touched before chunks come. */
	in->payload = malloc(in->length ? in->length : 1);
	in->slots = calloc(in->slot_count ? in->slot_count : 1, sizeof(*in->slots));
	if (!in->hash || !in->payload || !in->slots) {
		assemble_fini(in);
		return false;
	}
	blake3_init(in->hash);
	return true;
}

void assemble_fini(struct incoming *in)
{
	free(in->hash);
	free(in->payload);
	free(in->slots);
	in->hash = NULL;
	in->payload = NULL;
	in->slots = NULL;
}

static bool is_acceptable(const struct incoming *in, const struct frame_chunk *c)
{
	const uint64_t size = c->data_len;

	if (size == 0 || c->index >= in->slot_count || c->offset > in->length || size > in->length - c->offset)
		return false;
	return size >= FRAME_CHUNK_MIN_BYTES || c->offset + size == in->length;
}

static void hash_on(struct incoming *in)
{
	while (!in->replaced && in->hashed < in->slot_count) {
		const struct slot *s = &in->slots[in->hashed];

		if (s->size == 0 || s->offset != in->hashed_bytes)
			break;
		blake3_update(in->hash, in->payload + s->offset, s->size);
		in->hashed_bytes += s->size;
		in->hashed++;
	}
}

enum assemble_verdict assemble_chunk(struct incoming *in, const struct frame_chunk *c)
{
	struct slot *s;

	if (!is_acceptable(in, c))
		return ASSEMBLE_REFUSED;
	s = &in->slots[c->index];
	if (s->size == c->data_len && s->offset == c->offset &&
	    memcmp(in->payload + s->offset, c->data, c->data_len) == 0)
		return ASSEMBLE_OK;
	in->replaced |= c->offset < in->hashed_bytes || c->index < in->hashed;
	in->filled += s->size == 0;
	*s = (struct slot){.offset = (uint32_t)c->offset, .size = (uint32_t)c->data_len};
	memcpy(in->payload + s->offset, c->data, s->size);
	hash_on(in);
	return ASSEMBLE_OK;
}

/* The chunks follow one another from the first byte to the last. */
static bool tiles(const struct incoming *in)
{
	uint64_t at = 0;

	for (uint32_t i = 0; i < in->filled; i++) {
		if (in->slots[i].size == 0 || in->slots[i].offset != at)
			return false;
		at += in->slots[i].size;
	}
	return at == in->length;
}

/* All of it anew; right or wrong, the result stands until bytes change again. */
static void hash_all(struct incoming *in, struct mono now)
{
	blake3_init(in->hash);
	blake3_update(in->hash, in->payload, in->length);
	in->hashed = in->filled;
	in->hashed_bytes = in->length;
	in->replaced = false;
	in->verify_after = mono_add_ms(now, VERIFY_MS);
}

bool assemble_is_complete(struct incoming *in, const struct frame_done *d, struct mono now)
{
	uint8_t checksum[BLAKE3_BYTES];

	if (d->count != in->filled)
		return false;
	if (in->replaced) {
		if (!mono_is_due(in->verify_after, now) || !tiles(in))
			return false;
		hash_all(in, now);
	}
	/* What is hashed follows one another. */
	if (in->hashed != in->filled || in->hashed_bytes != in->length)
		return false;
	blake3_final(in->hash, checksum);
	return memcmp(checksum, d->checksum, sizeof(checksum)) == 0;
}
