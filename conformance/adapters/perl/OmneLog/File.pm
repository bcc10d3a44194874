# SPDX-License-Identifier: MIT
package OmneLog::File;

# Chapter 6 of SPEC.md: a regular file, the lock on its own open file description, and waiting for it.

use strict;
use warnings;
use Errno qw(EACCES EAGAIN EINTR EINVAL ENOSYS ENOTSUP EWOULDBLOCK);
use Fcntl qw(:DEFAULT :flock :seek);
use Time::HiRes qw(CLOCK_MONOTONIC clock_gettime sleep);
use IO::Handle;
use OmneLog::Error;

use constant BLOCK => 65_536;

sub now { return clock_gettime(CLOCK_MONOTONIC) }

# Open for appending, creating the file; Perl itself adds O_CLOEXEC (LOCK-5).
sub for_appending {
    my ($class, $path, $mode) = @_;
    return $class->_open($path, O_RDWR | O_APPEND | O_CREAT, $mode // 0666);
}

# Open to be written in place, creating the file.
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

# Acquire the lock, trying until $timeout seconds after $started; dies with LockTimeout (LOCK-8).
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
        # Soon at first, because most locks are held for microseconds; then more often with age.
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

# Close it. In the process that opened it the lock is released first (LOCK-14); in a forked child the
# lock is the parent's (APP-46).
sub close {
    my ($self) = @_;
    $self->unlock if $self->{pid} == $$;
    CORE::close $self->{handle};
}

# The process that holds the lock, if the system reports it.
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

# Up to $length bytes from $at on.
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

# Where the last newline ends, and where the file ends.
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

# Append bytes; return how many were written. The error, if any, is in $!.
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

# Whether the path leads elsewhere by now, or nowhere; false if the system does not allow a look (APP-55).
sub replaced {
    my ($self) = @_;
    my $there = _identity($self->{path});
    return 0 if $there eq '' && $! == EACCES;
    return $there ne _identity($self->{handle});
}

# Whether another object is the same file.
sub same {
    my ($self, $other) = @_;
    return _identity($self->{handle}) eq _identity($other->{handle});
}

# Which file a path or a handle leads to; '' if none.
sub _identity { return join ':', (stat $_[0])[0, 1] }

# Put a directory's entries on disk; without $surely, only if the system can and allows it (APP-59).
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
