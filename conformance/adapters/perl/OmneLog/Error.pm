# SPDX-License-Identifier: MIT
package OmneLog::Error;

# An error as a value: its kind is a name of chapter 11 of SPEC.md (ERR).

use strict;
use warnings;

# Die with an error of this kind. The other values that the error carries follow the message.
sub throw {
    my ($class, $kind, $message, %carried) = @_;
    die bless {kind => $kind, message => $message, %carried}, $class;
}

# Die with a LogIOError for a system error. Its code and its text are those of $!.
sub refused {
    my ($class, $what, $path, %carried) = @_;
    my $code = $! + 0;
    $class->throw('LogIOError', "$path: $what: $!", path => $path, code => $code, appended => 0, %carried);
}

1;
