# SPDX-License-Identifier: MIT
package OmneLog::Appender;

# Chapters 7 and 8 of SPEC.md: a handle that appends to one log. Only one thread may use it. After a
# fork the child keeps the descriptor open until its next append (the note in chapter 7).

use strict;
use warnings;
use Cwd ();
use Errno qw(EBUSY EIO);
use Time::HiRes qw(sleep);
use OmneLog::Error;
use OmneLog::Event;
use OmneLog::File;
use OmneLog::Volume;

use constant {LOOK_EVERY => 1, LONG_HOLD => 0.001, POLITE => 0.002};

# Open the log of a run. $timeout is in seconds.
sub new {
    my ($class, $root, $run_id, $timeout, $durable) = @_;
    checked_timeout($timeout);
    $root = Cwd::getcwd() . "/$root" if $root !~ m{\A/};    # APP-4
    my $directory = OmneLog::Volume::run_dir($root, $run_id);
    my $self      = bless {
        path    => "$directory/events.jsonl",
        chain   => [$directory, map { "$root/$_" } '.omne/var/runs', '.omne/var', '.omne', ''],
        timeout => $timeout,
        durable => $durable,
    }, $class;
    OmneLog::Volume::make_directories($directory);
    $self->_open;
    return $self;
}

sub checked_timeout {
    my ($timeout) = @_;
    OmneLog::Error->throw('InvalidTimeout', "lock_timeout must be 0 s or more, not $timeout")
        unless $timeout >= 0;
}

# Append events with one write under one lock.
sub append {
    my ($self, @events) = @_;
    my $started = OmneLog::File::now();
    my @lines   = map { OmneLog::Event::encode($_) } @events;
    $self->_locked($started, \@lines) if @lines;    # APP-34
}

# Acquire the lock, repair, write the lines and release the lock.
sub _locked {
    my ($self, $started, $lines) = @_;
    OmneLog::Error->throw('LogClosed', "$self->{path}: this handle is closed") if $self->{closed};
    my $done = eval {
        $self->_take_lock($started);
        my $taken = OmneLog::File::now();
        $self->_write($lines);
        $self->_unlock(scalar @$lines);
        $self->{polite} = OmneLog::File::now() - $taken > LONG_HOLD;
        $self->_sync(scalar @$lines) if $self->{durable};
        1;
    };
    return if $done;
    my $error = $@;
    $self->_drop;    # APP-39
    die $error;
}

# Repair the log, as an append does before it writes (APP-54).
sub repair {
    my ($self) = @_;
    $self->_locked(OmneLog::File::now(), []);
}

sub close {
    my ($self) = @_;
    $self->{closed} = 1;
    $self->_drop;
}

sub _open {
    my ($self) = @_;
    if ($self->{sync_failed}) {    # DUR-9
        $! = EIO;
        OmneLog::Error->refused('an earlier sync failed', $self->{path});
    }
    $self->{file}   = OmneLog::File->for_appending($self->{path});
    $self->{looked} = OmneLog::File::now();
    $self->{end}    = -1;
    if ($self->{durable}) {
        OmneLog::File::sync_directory($_, 1) for @{$self->{chain}};    # DUR-7
    }
}

sub _drop {
    my ($self) = @_;
    my $file = delete $self->{file} or return;
    $file->close;
}

# Acquire the lock on the file that is at the path.
sub _take_lock {
    my ($self, $started) = @_;
    $self->_drop if $self->{file} && $self->{file}{pid} != $$;    # APP-47
    if (delete $self->{polite}) {                                 # LOCK-13
        my $left = $self->{timeout} - (OmneLog::File::now() - $started);
        sleep($left < POLITE ? $left : POLITE) if $left > 0;
    }
    while (1) {
        $self->_open unless $self->{file};
        $self->{file}->lock($started, $self->{timeout});
        my $now = OmneLog::File::now();
        return if $now - $self->{looked} < LOOK_EVERY;
        if (!$self->{file}->replaced) {
            $self->{looked} = $now;
            return;
        }
        $self->_drop;    # APP-52
    }
}

sub _write {
    my ($self, $lines) = @_;
    my ($file, $data) = ($self->{file}, join '', @$lines);
    my $start = $file->size;
    $start = $self->_repair if $start != $self->{end};
    my $wrote = $file->put($data);
    if ($wrote == length $data) {
        $self->{end} = $start + $wrote;
        return;
    }
    $self->_roll_back($start, $data, $lines);
}

# Release the lock. If that fails, the file is closed, which releases the lock, and the caller gets
# an error (APP-31).
sub _unlock {
    my ($self, $lines) = @_;
    return if $self->{file}->unlock;
    my ($why, $code) = ("$!", $! + 0);
    OmneLog::Error->throw(
        $lines ? 'AppendIndeterminate' : 'LogIOError', "$self->{path}: cannot be unlocked: $why",
        path => $self->{path}, code => $code, appended => $lines,
    );
}

# Cut off what a failed write left after its last whole line (APP-27 to APP-31). Always dies.
sub _roll_back {
    my ($self, $start, $data, $lines) = @_;
    my ($file, $why, $code) = ($self->{file}, "$!", $! + 0);
    my $found = $file->get($start, length $data);
    my ($whole, $stand) = (0, 0);
    for my $line (@$lines) {
        last if substr($found, $whole, length $line) ne $line;
        $whole += length $line;
        $stand++;
    }
    my $ours = $found eq substr($data, 0, length $found)
        && ($found eq $data || $file->size == $start + length $found);
    my $kind = 'LogIOError';
    if (!$ours) {
        $kind = 'AppendIndeterminate';
        $why .= '; not taken back, for somebody writes without the lock';
    }
    elsif ($stand == @$lines) {
        $kind = 'AppendIndeterminate';
    }
    elsif ($whole < length $found && !$file->cut($start + $whole)) {
        $kind = 'AppendIndeterminate';
        $why .= "; not taken back: $!";
    }
    if ($self->{durable} && $stand) {
        $file->unlock;
        $self->_sync($stand);    # DUR-10
    }
    OmneLog::Error->throw(
        $kind, "$self->{path}: append failed: $why; $stand of " . @$lines . ' lines stand',
        path => $self->{path}, code => $code, appended => $stand,
    );
}

# Repair the log if it does not end in a newline, and return its length after that.
sub _repair {
    my ($self) = @_;
    my $file = $self->{file};
    my ($start, $end) = $file->extent;
    return $end if $start == $end;
    my $tail = $file->get($start, $end - $start);
    if (eval { OmneLog::Event::decode($tail) }) {    # APP-11
        $self->_require_end($end);
        $file->put("\n") == 1 or OmneLog::Error->refused('cannot be repaired', $self->{path});
        return $end + 1;
    }
    $self->_quarantine($tail);
    $self->_require_end($end);
    $file->cut($start) or OmneLog::Error->refused('a torn tail cannot be cut off', $self->{path});
    return $start;
}

# Fail if the log has grown since its tail was measured (APP-21).
sub _require_end {
    my ($self, $end) = @_;
    return if $self->{file}->size == $end;
    $! = EBUSY;
    OmneLog::Error->refused('somebody writes without the lock', $self->{path});
}

# Copy a torn tail to a line of its own in the quarantine, unless it is the last line there, and put
# it on disk (APP-14 to APP-20).
sub _quarantine {
    my ($self, $tail) = @_;
    my $path = "$self->{path}.torn";
    my $mode = (stat $self->{file}{handle})[2] & 0666;    # SEC-4
    my $torn = OmneLog::File->for_appending($path, $mode);
    my $size = $torn->size;
    my $add  = $size && $torn->get($size - 1, 1) ne "\n" ? "\n" : '';    # APP-16
    my $last = length($tail) + 1 - length $add;                          # bytes of an earlier copy
    my $copied = 0;
    if ($size >= $last) {
        my $begins = $size == $last || $torn->get($size - $last - 1, 1) eq "\n";
        $copied = $begins && $torn->get($size - $last, $last) . $add eq "$tail\n";
    }
    $add .= "$tail\n" unless $copied;
    if ($torn->put($add) != length $add) {
        my $code = $! + 0;
        $torn->cut($size);    # APP-58
        $! = $code;
        OmneLog::Error->refused('a torn tail cannot be kept', $path);
    }
    $torn->sync or OmneLog::Error->refused('a torn tail cannot be kept', $path);
    my ($directory) = $path =~ m{\A(.*)/}s;
    OmneLog::File::sync_directory($directory, $self->{durable});
    $torn->close;
}

# Put the log's data on disk. Perl does not have fdatasync, so this is fsync (DUR-3).
sub _sync {
    my ($self, $lines) = @_;
    return if $self->{file}->sync;
    my ($why, $code) = ("$!", $! + 0);
    $self->{sync_failed} = 1;
    OmneLog::Error->throw(
        'AppendIndeterminate', "$self->{path}: written but not synced: $why",
        path => $self->{path}, code => $code, appended => $lines,
    );
}

1;
