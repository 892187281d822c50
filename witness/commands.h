/*
 * stele-witness's commands.
 */
#ifndef STELE_WITNESS_COMMANDS_H
#define STELE_WITNESS_COMMANDS_H

#include "lib/why.h"

#define WITNESS_LISTEN "127.0.0.1:7381"

enum err cmd_init(int argc, char **argv, struct why *why);
enum err cmd_serve(int argc, char **argv, struct why *why);
enum err cmd_key(int argc, char **argv, struct why *why);
enum err cmd_add_log(int argc, char **argv, struct why *why);
enum err cmd_remove_log(int argc, char **argv, struct why *why);
enum err cmd_backup(int argc, char **argv, struct why *why);
enum err cmd_restore(int argc, char **argv, struct why *why);
enum err cmd_resume(int argc, char **argv, struct why *why);
enum err cmd_set_clock(int argc, char **argv, struct why *why);
enum err cmd_logs(int argc, char **argv, struct why *why);

#endif
