/* SPDX-License-Identifier: Apache-2.0 */
/* CoreFoundation.h - the two functions of CoreFoundation that this project calls.
 *
 * Written by hand, for building on Linux only (cross-compiling and simulating);
 * a Mac uses Apple's. Unlike Apple's it pulls in no other header, so that our
 * sources include what they use.
 */
#pragma once

typedef const void *CFTypeRef;

CFTypeRef CFRetain(CFTypeRef cf);
void CFRelease(CFTypeRef cf); /* NULL is not allowed */
