/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/base/siphash.h"

uint8_t siphash_key[crypto_shorthash_KEYBYTES];

void siphash_init(void)
{
	crypto_shorthash_keygen(siphash_key);
}
