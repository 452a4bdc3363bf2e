/* SPDX-License-Identifier: Apache-2.0 */
/* Command line and configuration file, from one table (options.def). Nothing here exits or prints elsewhere than to the
 * streams it is given; the only file touched is the one of --config. */
#ifndef CONTROLD_OPTIONS_H
#define CONTROLD_OPTIONS_H

#include "controld/session/session.h"
#include "shared/base/ip.h"
#include "shared/base/log.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct option_list {
	char **items; /* owned */
	size_t count;
};

enum subcommand { SUBCOMMAND_NONE, SUBCOMMAND_INSPECT, SUBCOMMAND_API /* words says which: cli/cli.h */ };

/* The type of each kind of option. */
#define OPTION_FLAG bool
#define OPTION_COMMAND bool
#define OPTION_PORT uint16_t
#define OPTION_MTU uint32_t
#define OPTION_LEVEL enum log_level
#define OPTION_PATH char *
#define OPTION_CONFIG char *
#define OPTION_ADDRESS char *
#define OPTION_IFNAME char *
#define OPTION_PEERS struct option_list
#define OPTION_NAMES struct option_list
#define OPTION_BODY uint64_t
#define OPTION_LENGTH uint64_t
#define OPTION_SIZE uint64_t
#define OPTION_COUNT uint32_t
#define OPTION_LISTEN struct option_list
#define OPTION_SESSION enum session_mode
#define OPTION_KEYS struct option_list

/* One member per line of options.def: peers, listen, port, ... Strings are owned; one without a default may be NULL. A
 * peer is host:port, without tcp://. */
struct options {
#define OPTION(field, names, kind, value, help) OPTION_##kind field;
#include "controld/options.def"
#undef OPTION
	bool listen_none; /* --listen none; listen is empty then */
	bool inspect_json;
	enum subcommand subcommand;
	int word_count;
	uint64_t given; /* a bit for each line: the file or the command line said it */
	char **words; /* borrowed from argv: the command and what follows it */
	char *inspect_key; /* owned; NULL: our own */
};

enum options_verdict {
	OPTIONS_RUN,
	OPTIONS_EXIT_OK, /* help, version or check was printed: exit 0 */
	OPTIONS_EXIT_USAGE, /* one line on err says what is wrong and where: exit 2 */
};

/* Reads argv (argv[0] is skipped) and the file of --config. Call options_fini() whatever it returns. */
enum options_verdict options_parse(struct options *o, int argc, char **argv, FILE *out, FILE *err);
/* The defaults. */
void options_init(struct options *o);
/* Fine on a zeroed struct, and twice. */
void options_fini(struct options *o);
/* Reads the text of a configuration file called name into o, which has the defaults. False: said why on err. */
bool options_parse_config(struct options *o, const char *name, const char *text, size_t len, FILE *err);
/* The options as a configuration file. */
void options_print(const struct options *o, FILE *out);

/* Where to listen, number i of listen: the port of --port if it names none. 0, or -EINVAL: no such interface. */
MUST_CHECK int options_listen(const struct options *o, size_t i, struct endpoint *out);

#endif
