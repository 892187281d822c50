/*
 * A log's side of add-checkpoint, for the witness's end-to-end tests: keys and trees are made of the origin, always the same.
 *
 *   witness_log vkey ORIGIN [KEY]                    the log's vkey; KEY is the number of the key, 0 where left out
 *   witness_log request ORIGIN OLD SIZE [FORK [KEY]]  a request; in the tree whose leaves from FORK on are others, - for none
 *   witness_log note ORIGIN SIZE [FORK [KEY]]         the signed checkpoint alone
 *   witness_log tiles ORIGIN SIZE FOLDER [FORK]       the files of a tiled log: checkpoint and tiles
 *   witness_log head ORIGIN SIZE HEADS TIME           adds a record to a heads file, as if signed at that POSIX time
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/sys/file.h"
#include "lib/sys/heads.h"
#include "lib/tile.h"
#include "tests/witness_driver.h"

static uint64_t number(const char *text)
{
    uint64_t value;
    if (!span_decimal(span_str(text), OWN_LEAVES_MAX, &value))
        driver_die("not a number up to OWN_LEAVES_MAX", NULL);
    return value;
}

static void add_head(const struct own_log *log, uint64_t size, const char *path, const char *time)
{
    struct heads *heads;
    struct why why;
    struct head_record record = { .origin_hash = sha256_of(log->vkey.name), .head = { size, own_root(log, size) } };
    if (!span_decimal(span_str(time), INT64_MAX, &record.time_s) || heads_open(&heads, path, &why) != OK ||
        heads_add(heads, &record, 1, &why) != OK)
        driver_die("a head", &why);
    heads_close(heads);
}

static void write_file(const char *folder, const char *name, struct span content)
{
    struct why why;
    char *path = path_join(folder, name);
    for (char *at = path + strlen(folder) + 1; path != NULL && (at = strchr(at, '/')) != NULL; at++) {
        *at = '\0';
        if (dir_make(path, 0755, &why) != OK)
            driver_die("a folder", &why);
        *at = '/';
    }
    if (path == NULL || file_replace_soft(path, 0644, content, &why) != OK)
        driver_die("a file", &why);
    free(path);
}

static void write_tiles(const struct own_log *log, uint64_t size, const char *folder)
{
    for (unsigned level = 0; level * TILE_HEIGHT < OWN_LEVELS; level++)
        for (uint64_t index = 0; tile_width((uint8_t)level, index, size) > 0; index++) {
            struct tile tile = { .level = (uint8_t)level, .index = index };
            char path[TILE_PATH_MAX];
            tile.width = (uint16_t)tile_width((uint8_t)level, index, size);
            tile_path_render(&tile, path);
            write_file(folder, path, span_of(log->nodes[level * TILE_HEIGHT] + index * TILE_WIDTH, 32 * (size_t)tile.width));
        }
}

int main(int argc, char **argv)
{
    struct own_log log;
    struct buf out = BUF_EMPTY, text = BUF_EMPTY;
    if (argc < 3)
        driver_die("usage: see the source", NULL);
    http_client_free(driver_start(60));
    bool vkey = strcmp(argv[1], "vkey") == 0, note = strcmp(argv[1], "note") == 0, tiles = strcmp(argv[1], "tiles") == 0;
    bool head = strcmp(argv[1], "head") == 0;
    int fork_at = note ? 4 : head ? 6 : 5, key_at = vkey ? 3 : fork_at + 1;
    own_log_make(&log, argv[2], argc > key_at ? (unsigned)number(argv[key_at]) : 0, vkey ? 1 : OWN_LEAVES_MAX);
    if (argc == 6 && head) {
        add_head(&log, number(argv[3]), argv[4], argv[5]);
        own_log_free(&log);
        return 0;
    }
    if (argc > fork_at && strcmp(argv[fork_at], "-") != 0)
        own_log_fork(&log, number(argv[fork_at]));
    if (vkey) {
        buf_fmt(&out, "%s\n", log.vkey_text);
    } else if (argc >= fork_at) {
        uint64_t size = number(argv[note || tiles ? 3 : 4]);
        struct hash root = own_root(&log, size);
        own_text(&text, &log, size, &root);
        if (!note && !tiles)
            own_front(&out, &log, number(argv[3]), size);
        buf_span(&out, span_buf(&text));
        buf_byte(&out, '\n');
        own_line(&out, &log, span_buf(&text));
        if (tiles) {
            write_file(argv[4], "checkpoint", span_buf(&out));
            write_tiles(&log, size, argv[4]);
            buf_clear(&out);
        }
    }
    fwrite(out.data, 1, out.len, stdout);
    buf_free(&out);
    buf_free(&text);
    own_log_free(&log);
    return 0;
}
