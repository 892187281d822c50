/*
 * stele-log's commands.
 */
#ifndef STELE_LOG_COMMANDS_H
#define STELE_LOG_COMMANDS_H

#include "lib/why.h"

enum err cmd_init(int argc, char **argv, struct why *why);
enum err cmd_serve(int argc, char **argv, struct why *why);
enum err cmd_fsck(int argc, char **argv, struct why *why);
enum err cmd_backup(int argc, char **argv, struct why *why);
enum err cmd_recover(int argc, char **argv, struct why *why);
enum err cmd_freeze(int argc, char **argv, struct why *why);
enum err cmd_set_clock(int argc, char **argv, struct why *why);
enum err cmd_key(int argc, char **argv, struct why *why);

#endif
