/*
 * reader DIR: opens the log's data beside the process that writes it, takes a snapshot, says "reading", and keeps it until it
 * is killed: what a backup that died leaves behind.
 */
#include <stdio.h>
#include <unistd.h>

#include "lib/sys/kv.h"

int main(int argc, char **argv)
{
    static const char *const tables[] = { "meta", "entry", "tile", "inputs" };
    struct kv *kv = NULL;
    struct kv_txn txn;
    struct why why = { "no folder" };
    enum err err = ERR_USAGE;
    if (argc == 2)
        err = kv_open(&kv,
                      &(struct kv_config){ .path = argv[1],
                                           .tables = tables,
                                           .tables_n = sizeof tables / sizeof *tables,
                                           .map_bytes = UINT64_C(1) << 28,
                                           .readers_max = 512,
                                           .read_only = true },
                      &why);
    if (err == OK)
        err = kv_read(kv, &txn, &why);
    if (err != OK) {
        fprintf(stderr, "reader: %s\n", why.text);
        return (int)err;
    }
    puts("reading");
    fflush(stdout);
    for (;;)
        pause();
}
