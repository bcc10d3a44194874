# SPDX-License-Identifier: MIT
package OmneLog::File;

# Chapter 6 of SPEC.md: a regular file, the lock on its open file description, and the wait for it.

use strict;
use warnings;
use Errno qw(EACCES EAGAIN EINTR EINVAL ENOSYS ENOTSUP EWOULDBLOCK);
use Fcntl qw(:DEFAULT :flock :seek);
use Time::HiRes qw(CLOCK_MONOTONIC clock_gettime sleep);
use IO::Handle;
use OmneLog::Error;

use constant BLOCK => 65_536;

sub now { return clock_gettime(CLOCK_MONOTONIC) }

# Open a file for appending, and create it if it is missing. Perl itself adds O_CLOEXEC (LOCK-5).
sub for_appending {
    my ($class, $path, $mode) = @_;
    return $class->_open($path, O_RDWR | O_APPEND | O_CREAT, $mode // 0666);
}

# Open a file to write over its content in place, and create it if it is missing.
sub for_updating {
    my ($class, $path) = @_;
    return $class->_open($path, O_RDWR | O_CREAT, 0666);
}

sub for_reading {
    my ($class, $path) = @_;
    return $class->_open($path, O_RDONLY, 0);
}

sub _open {
    my ($class, $path, $flags, $mode) = @_;
    sysopen my $handle, $path, $flags | O_NONBLOCK | O_NOCTTY, $mode
        or OmneLog::Error->refused('cannot be opened', $path);
    if (!-f $handle) {    # LOCK-6
        $! = EINVAL;
        OmneLog::Error->refused('not a regular file', $path);
    }
    return bless {handle => $handle, path => $path, pid => $$}, $class;
}

# Acquire the lock. Dies with LockTimeout $timeout seconds after $started (LOCK-8).
sub lock {
    my ($self, $started, $timeout) = @_;
    my $tries = 0;
    until ($self->try_lock) {
        my $age  = now() - $started;
        my $left = $timeout - $age;
        if ($left <= 0) {
            my $holder = $self->_holder;
            OmneLog::Error->throw(
                'LockTimeout', sprintf('%s: locked; gave up after %.3f s', $self->{path}, $age),
                path => $self->{path}, waited_s => $age, defined $holder ? (holder_pid => $holder) : (),
            );
        }
        # The first pauses are short, because most locks are held for microseconds. The later ones
        # get shorter the longer this process has waited (LOCK-12).
        my $mean = $tries++ < 3 ? 0.0001 : 0.005 / (1 + 10 * $age);
        $mean = 0.0005 if $tries > 3 && $mean < 0.0005;
        my $pause = $mean * (0.5 + rand);
        sleep($pause < $left ? $pause : $left);
    }
}

sub try_lock {
    my ($self) = @_;
    until (flock $self->{handle}, LOCK_EX | LOCK_NB) {
        return 0 if $! == EWOULDBLOCK || $! == EAGAIN;
        OmneLog::Error->refused('cannot be locked', $self->{path}) if $! != EINTR;    # LOCK-17
    }
    return 1;
}

sub unlock { flock $_[0]{handle}, LOCK_UN }

# Close the file. The process that opened it releases the lock first (LOCK-14). A forked child does
# not, because the lock belongs to its parent (APP-46).
sub close {
    my ($self) = @_;
    $self->unlock if $self->{pid} == $$;
    CORE::close $self->{handle};
}

# Return the id of the process that holds the lock, or undef if the system does not report it.
sub _holder {
    my ($self) = @_;
    my ($device, $inode) = (stat $self->{handle})[0, 1];
    my $file = sprintf '%02x:%02x:%d', ($device >> 8) & 0xfff, ($device & 0xff) | ($device >> 12) & 0xfff00, $inode;
    open my $locks, '<', '/proc/locks' or return undef;
    while (<$locks>) {
        my (undef, $kind, undef, undef, $pid, $where) = split;
        return $pid if $kind eq 'FLOCK' && $where eq $file && $pid > 0;
    }
    return undef;
}

sub size {
    my ($self) = @_;
    my $size = (stat $self->{handle})[7];
    $self->_cannot_read unless defined $size;
    return $size;
}

# Return up to $length bytes from $at on.
sub get {
    my ($self, $at, $length) = @_;
    my $data = '';
    while (length $data < $length) {
        sysseek $self->{handle}, $at + length $data, SEEK_SET or $self->_cannot_read;
        my $got = sysread $self->{handle}, $data, $length - length $data, length $data;
        next if !defined $got && $! == EINTR;
        $self->_cannot_read unless defined $got;
        last unless $got;
    }
    return $data;
}

sub _cannot_read { OmneLog::Error->refused('cannot be read', $_[0]{path}) }

# Return where the last newline ends, and where the file ends.
sub extent {
    my ($self) = @_;
    my $size = my $start = $self->size;
    while ($start > 0) {
        my $end = $start;
        $start = $end > BLOCK ? $end - BLOCK : 0;
        my $at = rindex $self->get($start, $end - $start), "\n";
        return ($start + $at + 1, $size) if $at >= 0;
    }
    return (0, $size);
}

# Append bytes, and return how many were written. If it is not all of them, the error is in $!.
sub put {
    my ($self, $data) = @_;
    my $done = 0;
    while ($done < length $data) {
        my $wrote = syswrite $self->{handle}, $data, length($data) - $done, $done;
        next if !defined $wrote && $! == EINTR;    # APP-25
        $! = Errno::EIO if defined $wrote && !$wrote;    # APP-26
        last unless $wrote;
        $done += $wrote;
    }
    return $done;
}

sub cut  { return truncate $_[0]{handle}, $_[1] }
sub sync { return $_[0]{handle}->sync }

# Return whether the path now leads to another file or nowhere. Return false if the system does not
# let this process check (APP-55).
sub replaced {
    my ($self) = @_;
    my $there = _identity($self->{path});
    return 0 if $there eq '' && $! == EACCES;
    return $there ne _identity($self->{handle});
}

# Return whether another object has the same file open.
sub same {
    my ($self, $other) = @_;
    return _identity($self->{handle}) eq _identity($other->{handle});
}

# Return device and inode of the file that a path or a handle leads to, or '' if it leads nowhere.
sub _identity { return join ':', (stat $_[0])[0, 1] }

# Put a directory's entries on disk. Unless $surely is set, it is not an error if the system cannot
# do that or does not allow it (APP-59).
sub sync_directory {
    my ($path, $surely) = @_;
    if (!sysopen my $directory, $path, O_RDONLY) {
        return if !$surely && $! == EACCES;
        OmneLog::Error->refused('cannot be opened', $path);
    }
    elsif (!$directory->sync) {
        return if !$surely && ($! == EINVAL || $! == ENOTSUP || $! == ENOSYS);
        OmneLog::Error->refused('cannot be synced', $path);
    }
}

1;
