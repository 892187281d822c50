#include "client/verify_paths.h"

#include <pthread.h>
#include <stdlib.h>

#include "client/memory.h"

struct task {
    pthread_t thread;
    struct local *local;
    struct verify_path *path;
};

static void *judge(void *ctx)
{
    const struct task *task = ctx;
    struct verify_path *path = task->path;
    struct nixdb_info info = { 0 };
    bool found = false;
    path->err = nixdb_path(task->local->db, path->path, &info, &found, &path->why);
    if (path->err == OK && !found)
        path->err = fail(&path->why, ERR_REFUSED, "%s is not a valid path of this store", path->path);
    if (path->err == OK)
        path->err = local_judge(task->local, &info, &path->verdict, &path->why);
    nixdb_info_free(&info);
    return NULL;
}

/* Did another path meanwhile tell that a log forked whose word this one has? */
static bool rests_on_fork(const struct local *local, const struct verify_path *path)
{
    for (size_t i = 0; i < path->verdict.evidence.n; i++) {
        const struct evidence_item *item = path->verdict.evidence.items[i];
        if (item->proven && memory_forked(&local->config, span_str(item->origin)))
            return true;
    }
    return false;
}

enum err verify_paths_judge(struct verify_paths *paths, const char *config_file, const char *root, struct why *why)
{
    struct task tasks[VERIFY_PATHS_MAX];
    size_t started = 0;
    if (paths->locals == NULL && (paths->locals = calloc(VERIFY_PATHS_MAX, sizeof *paths->locals)) == NULL)
        return fail(why, ERR_ENV, "out of memory");
    while (paths->locals_n < paths->n) {
        enum err err = local_open(&paths->locals[paths->locals_n++], config_file, root, true, why);
        if (err != OK)
            return err;
    }
    for (size_t i = 0; i < paths->n; i++)
        tasks[i] = (struct task){ .local = &paths->locals[i], .path = &paths->paths[i] };
    while (started + 1 < paths->n && pthread_create(&tasks[started].thread, NULL, judge, &tasks[started]) == 0)
        started++;
    for (size_t i = started; i < paths->n; i++)
        judge(&tasks[i]);
    for (size_t i = 0; i < started; i++)
        pthread_join(tasks[i].thread, NULL);
    for (size_t i = 0; i < paths->n; i++)
        if (rests_on_fork(tasks[i].local, tasks[i].path)) {
            local_verdict_free(&tasks[i].path->verdict);
            judge(&tasks[i]);
        }
    return OK;
}

void verify_paths_clear(struct verify_paths *paths)
{
    for (size_t i = 0; i < paths->n; i++) {
        local_verdict_free(&paths->paths[i].verdict);
        free(paths->paths[i].path);
    }
    memset(paths->paths, 0, sizeof paths->paths);
    paths->n = paths->next = 0;
}

void verify_paths_free(struct verify_paths *paths)
{
    verify_paths_clear(paths);
    for (size_t i = 0; i < paths->locals_n; i++)
        local_close(&paths->locals[i]);
    free(paths->locals);
}
