# SPDX-License-Identifier: MIT
package OmneLog::Ulid;

# Chapter 10 of SPEC.md: ULIDs that rise, kept in a file of the volume.

use strict;
use warnings;
use Errno qw(ENOSPC);
use Fcntl qw(:seek);
use Time::HiRes ();
use OmneLog::Error;
use OmneLog::File;
use OmneLog::Volume;

my @DIGITS = split //, '0123456789abcdefghjkmnpqrstvwxyz';
my %VALUE  = map { $DIGITS[$_] => $_ } 0 .. $#DIGITS;

# Return a ULID greater than any that this volume has allocated.
sub allocate {
    my ($root, $timeout) = @_;
    my $started = OmneLog::File::now();
    OmneLog::Volume::make_directories("$root/.omne/var");
    my $path = "$root/.omne/var/.ulid-last";
    my $file = OmneLog::File->for_updating($path);
    my $ulid = eval {
        $file->lock($started, $timeout);
        my $last  = $file->get(0, 27);
        my $ulid  = _next($last, $path);
        my $wrote = sysseek($file->{handle}, 0, SEEK_SET) && syswrite $file->{handle}, $ulid;
        if (($wrote // 0) != length $ulid) {    # ULID-11
            my $code = $! + 0;
            $file->cut(length $last);
            sysseek($file->{handle}, 0, SEEK_SET) && syswrite $file->{handle}, $last;
            $! = $code || ENOSPC;
            OmneLog::Error->refused('cannot be written', $path);
        }
        $ulid;
    };
    my $error = $@;
    $file->close;
    return $ulid if defined $ulid;
    die $error;
}

sub _next {
    my ($last, $path) = @_;
    my $now = int(Time::HiRes::time() * 1000);
    return _fresh($now, $path) if $last eq '';    # ULID-4
    my @values = map { $VALUE{lc $_} // -1 } split //, $last;
    OmneLog::Error->throw('UlidError', "$path: holds no ULID")
        if @values != 26 || $values[0] > 7 || grep { $_ < 0 } @values;
    my $at = 25;
    $values[$at--] = 0 while $at >= 0 && $values[$at] == 31;    # ULID-6
    OmneLog::Error->throw('UlidError', "$path: no ULID is greater")
        if $at < 0 || $at == 0 && $values[0] == 7;
    $values[$at]++;
    my $ms = 0;
    $ms = $ms * 32 + $_ for @values[0 .. 9];
    return $now > $ms ? _fresh($now, $path) : join '', @DIGITS[@values];    # ULID-5
}

sub _fresh {
    my ($ms, $path) = @_;
    OmneLog::Error->throw('UlidError', "$path: the clock is past what a ULID can hold")
        if $ms >= 2**48;    # ULID-8
    open my $random, '<:raw', '/dev/urandom' or OmneLog::Error->refused('cannot be read', '/dev/urandom');
    sysread($random, my $bytes, 16) == 16 or OmneLog::Error->refused('cannot be read', '/dev/urandom');
    my @time = map { $DIGITS[($ms >> 5 * $_) & 31] } reverse 0 .. 9;
    return join '', @time, map { $DIGITS[ord($_) & 31] } split //, $bytes;
}

1;
