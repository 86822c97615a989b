/* SPDX-License-Identifier: Apache-2.0 */
#include "status.h"

#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define N(a) (sizeof(a) / sizeof *(a))

static void each_errno_gets_the_protocols_number(void **unused)
{
    static const struct {
        int err;
        enum status status;
    } cases[] = {
        { -EPERM, STATUS_NOT_ALLOWED },         { -EACCES, STATUS_NOT_ALLOWED },
        { -EDQUOT, STATUS_NOT_ALLOWED },        { -EINVAL, STATUS_INVALID_REQUEST },
        { -EPROTO, STATUS_INVALID_REQUEST },    { -ENAMETOOLONG, STATUS_INVALID_REQUEST },
        { -ENOENT, STATUS_NOT_FOUND },          { -EADDRNOTAVAIL, STATUS_CREATE_FAILURE },
        { -EADDRINUSE, STATUS_CREATE_FAILURE }, { -ENETDOWN, STATUS_CREATE_FAILURE },
        { -EEXIST, STATUS_CREATE_FAILURE },     { -ETIMEDOUT, STATUS_CREATE_FAILURE },
        { -ENOMEM, STATUS_INTERNAL_ERROR },     { -EXDEV, STATUS_INTERNAL_ERROR },
        { 0, STATUS_INTERNAL_ERROR },           { EPERM, STATUS_INTERNAL_ERROR },
        { INT_MIN + 1, STATUS_INTERNAL_ERROR }, { INT_MIN, STATUS_INTERNAL_ERROR },
        { INT_MAX, STATUS_INTERNAL_ERROR },
    };
    (void)unused;
    for (size_t i = 0; i < N(cases); i++)
        if (status_from_errno(cases[i].err) != cases[i].status)
            fail_msg("errno %d gave %d", cases[i].err, (int)status_from_errno(cases[i].err));
}

static void a_failure_to_create_is_create_failure_whatever_the_errno(void **unused)
{
    (void)unused;
    assert_int_equal(status_from_create_errno(-EPERM), STATUS_CREATE_FAILURE);
    assert_int_equal(status_from_create_errno(-EINVAL), STATUS_CREATE_FAILURE);
    assert_int_equal(status_from_create_errno(-ENOENT), STATUS_CREATE_FAILURE);
    assert_int_equal(status_from_create_errno(-ENOMEM), STATUS_INTERNAL_ERROR);
}

static void every_number_has_a_sentence_and_so_has_every_other(void **unused)
{
    (void)unused;
    for (int s = -2; s < 12; s++) {
        const char *text = status_text(s);
        assert_non_null(text);
        assert_true(strlen(text) > 0);
        assert_true(text[strlen(text) - 1] != '.');
    }
    assert_string_equal(status_text(8), status_text(-1));
    assert_string_equal(status_text(INT_MIN), status_text(INT_MAX));
    assert_string_not_equal(status_text(7), status_text(8));
}

static void names_of_errors_go_there_and_back(void **unused)
{
    (void)unused;
    assert_string_equal(status_error_name(STATUS_NOT_ALLOWED), "NotAllowed");
    assert_string_equal(status_error_name(STATUS_INTERNAL_ERROR), "InternalError");
    for (int s = STATUS_NOT_ALLOWED; s <= STATUS_INTERNAL_ERROR; s++)
        assert_int_equal(status_from_error_name(status_error_name((enum status)s)), s);
    assert_null(status_error_name(STATUS_SUCCESS));
    assert_null(status_error_name(STATUS_XPC_FAILURE));
    assert_null(status_error_name(STATUS_INVALID_REPLY));
    assert_null(status_error_name((enum status)8));
    assert_null(status_error_name((enum status) - 1));
    assert_int_equal(status_from_error_name("Nonsense"), STATUS_INTERNAL_ERROR);
    assert_int_equal(status_from_error_name(""), STATUS_INTERNAL_ERROR);
}

static void a_failure_carries_words_and_is_cut_where_they_are_too_many(void **unused)
{
    struct failure f;
    char lengthy[600];
    (void)unused;
    assert_int_equal(failure_set(&f, -EPERM, "uid %d may not", 7), -EPERM);
    assert_int_equal(f.err, -EPERM);
    assert_string_equal(f.why, "uid 7 may not");

    memset(lengthy, 'x', sizeof lengthy - 1);
    lengthy[sizeof lengthy - 1] = '\0';
    assert_int_equal(failure_set(&f, -EINVAL, "%s", lengthy), -EINVAL);
    assert_int_equal(strlen(f.why), sizeof f.why - 1);

    assert_int_equal(failure_set(NULL, -EIO, "nobody listens"), -EIO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_errno_gets_the_protocols_number),
        cmocka_unit_test(a_failure_to_create_is_create_failure_whatever_the_errno),
        cmocka_unit_test(every_number_has_a_sentence_and_so_has_every_other),
        cmocka_unit_test(names_of_errors_go_there_and_back),
        cmocka_unit_test(a_failure_carries_words_and_is_cut_where_they_are_too_many),
    };
    return cmocka_run_group_tests_name("status", tests, NULL, NULL);
}
