/* A ticket's file: what the hook writes is what the deliverer reads, up to the most outputs that a statement has. */
#include "tests/unit/support.h"

#include "client/ticket.h"

static struct why why;

static enum err parse(struct ticket *out, const char *text)
{
    static struct buf storage;
    buf_clear(&storage);
    buf_str(&storage, text);
    return ticket_parse(out, &storage, &why);
}

static void test_most_outputs(void **state)
{
    (void)state;
    const char *outputs[SUBJECTS_MAX + 1];
    for (size_t i = 0; i <= SUBJECTS_MAX; i++)
        outputs[i] = "/nix/store/x";
    struct ticket ticket = { .drv_path = "/nix/store/x.drv", .outputs = outputs, .outputs_n = SUBJECTS_MAX }, again;
    for (unsigned known = 0; known < 2; known++) {
        struct buf text = BUF_EMPTY;
        ticket.sandbox = known ? statement_sandbox(span_str("relaxed")) : NULL;
        ticket_render(&text, &ticket);
        assert_int_equal(ticket_parse(&again, &text, &why), OK);
        assert_string_equal(again.drv_path, ticket.drv_path);
        assert_int_equal(again.outputs_n, SUBJECTS_MAX);
        assert_ptr_equal(again.sandbox, ticket.sandbox);
        buf_free(&text);
    }
    struct buf text = BUF_EMPTY;
    ticket.sandbox = NULL;
    ticket.outputs_n = SUBJECTS_MAX + 1;
    ticket_render(&text, &ticket);
    assert_int_equal(ticket_parse(&again, &text, &why), ERR_MALFORMED);
    assert_non_null(strstr(why.text, "more than 256 outputs"));
    buf_free(&text);
}

/* A ticket without outputs would be one for whatever the derivation made. */
static void test_no_output(void **state)
{
    (void)state;
    static const char *const texts[] = { "/nix/store/x.drv\n", "/nix/store/x.drv\nsandbox true\n", "sandbox true\n" };
    struct ticket ticket;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        assert_int_equal(parse(&ticket, texts[i]), ERR_MALFORMED);
        assert_string_equal(why.text, "it names no output");
    }
}

static void test_not_a_ticket(void **state)
{
    (void)state;
    static const char *const texts[] = { "", "/nix/store/x.drv\n/nix/store/x", "/nix/store/x.drv\n/nix/store/x\nsandbox maybe\n" };
    struct ticket ticket;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_int_equal(parse(&ticket, texts[i]), ERR_MALFORMED);
    assert_non_null(strstr(why.text, "no setting"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_most_outputs),
        cmocka_unit_test(test_no_output),
        cmocka_unit_test(test_not_a_ticket),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
