/* SPDX-License-Identifier: Apache-2.0 */
/* A disk that fails when told: a layer below SQLite, for the tests of the store. */
#ifndef TESTS_SUPPORT_STORE_DISK_H
#define TESTS_SUPPORT_STORE_DISK_H

enum store_disk {
	STORE_DISK_FINE,
	STORE_DISK_FULL, /* files do not grow; what lies in them can be written over */
	STORE_DISK_BROKEN, /* nothing can be written */
	STORE_DISK_STUCK, /* who writes waits until this is over */
	STORE_DISK_DEATH, /* who writes dies, as by SIGKILL */
};

/* Puts itself below all stores that are opened later. */
void store_disk_init(void);
void store_disk_set(enum store_disk how);
/* After so many writes it becomes so; a negative number: never. */
void store_disk_set_after(long writes, enum store_disk how);
/* Writes since the start. */
long store_disk_writes(void);

#endif
