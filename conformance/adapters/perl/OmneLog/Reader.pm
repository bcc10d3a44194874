# SPDX-License-Identifier: MIT
package OmneLog::Reader;

# Chapter 9 of SPEC.md: take a snapshot of a log that may be growing, and follow a log.

use strict;
use warnings;
use Errno qw(EIO);
use Time::HiRes qw(sleep);
use OmneLog::Error;
use OmneLog::Event;
use OmneLog::File;

use constant {PATIENCE => 0.1, LOOK_EVERY => 0.05, LINGER => 2};

# Return all events of a snapshot. Dies at the first fault.
sub read_run {
    my ($path) = @_;
    my @events;
    _snapshot($path, sub { ref $_[0] eq 'ARRAY' ? push @events, $_[0] : die $_[0] });
    return @events;
}

# Read a snapshot past all faults; return a hash of events, problems, blank_lines, tail_in_flight.
sub scan_run {
    my ($path) = @_;
    my (@events, @problems);
    my ($blank, $in_flight)
        = _snapshot($path, sub { push @{ref $_[0] eq 'ARRAY' ? \@events : \@problems}, $_[0] });
    return {events => \@events, problems => \@problems, blank_lines => $blank, tail_in_flight => $in_flight};
}

# Return a follower of a log. Its method next_events waits for events (READ-21 to READ-30).
sub follower {
    my ($class, $path) = @_;
    return bless {path => $path, found => []}, "${class}::Follower";
}

sub OmneLog::Reader::Follower::next_events {
    my ($self, $wanted) = @_;
    my $found = $self->{found};
    while (@$found < $wanted && !(@$found && ref $found->[-1] ne 'ARRAY')) {
        $self->_look;
        sleep LOOK_EVERY if @$found < $wanted;
    }
    my $sound = 0;
    $sound++ while $sound < @$found && $sound < $wanted && ref $found->[$sound] eq 'ARRAY';
    die shift @$found if !$sound;    # a fault; the events before it were returned already
    return splice @$found, 0, $sound;
}

sub OmneLog::Reader::Follower::_look {
    my ($self) = @_;
    $self->{reader} //= _new($self->{path});
    $self->_go_over if $self->{left_behind};
    my $reader = $self->{reader};
    if   ($reader->{file}->replaced) { $self->{leave} //= OmneLog::File::now() + LINGER }
    else                             { delete $self->{leave} }
    $self->{left_behind} = defined $self->{leave} && OmneLog::File::now() >= $self->{leave};
    $reader->_advance(($reader->{file}->extent)[0], sub { push @{$self->{found}}, $_[0] });
}

# Continue with the file that is at the path now, unless that is the old one again (READ-29).
sub OmneLog::Reader::Follower::_go_over {
    my ($self) = @_;
    my ($old, $new) = ($self->{reader}, _new($self->{path}));
    ($old, $new) = ($new, $old) if $new->{file}->same($old->{file});
    $old->{file}->close;
    $self->{reader} = $new;
    delete $self->{leave};
}

sub _new {
    my ($path) = @_;
    return bless {file => OmneLog::File->for_reading($path), path => $path, line => 0, offset => 0, blank => 0};
}

# Pass each event or fault of a snapshot to $report. Return the number of blank lines, and whether a
# tail was in flight.
sub _snapshot {
    my ($path, $report) = @_;
    my $self = _new($path);
    my $file = $self->{file};
    my ($end, $size) = $file->extent;
    my ($tail, $in_flight) = ('', 0);
    if ($end != $size) {
        if (eval { $file->lock(OmneLog::File::now(), PATIENCE); 1 }) {
            my $looked = eval {
                ($end, $size) = $file->extent;    # again, under the lock (READ-5)
                $tail = $file->get($end, $size - $end);
                1;
            };
            my $error = $@;
            $file->unlock;
            die $error unless $looked;
        }
        elsif (ref $@ && $@->{kind} eq 'LockTimeout') {
            $in_flight = 1;
        }
        else {
            die $@;
        }
    }
    $self->_advance($end, $report);
    if ($tail ne '') {
        $self->{line}++;
        $report->($self->_decode($tail, 'TornTailError'));
    }
    $file->close;
    return ($self->{blank}, $in_flight);
}

# Read from where the last call stopped up to $end, which is just after a newline.
sub _advance {
    my ($self, $end, $report) = @_;
    $self->_shrunk if $end < $self->{offset};    # READ-14, READ-28
    my ($at, $rest) = ($self->{offset}, '');
    while ($at < $end) {
        my $left  = $end - $at;
        my $block = $self->{file}->get($at, $left < OmneLog::File::BLOCK ? $left : OmneLog::File::BLOCK);
        $self->_shrunk if $block eq '';
        $at += length $block;
        $rest .= $block;
        my $from = 0;
        while ((my $newline = index $rest, "\n", $from) >= 0) {    # ACC-1
            my $line = substr $rest, $from, $newline - $from;
            $from = $newline + 1;
            $self->{line}++;
            my $found = $self->_decode($line, 'DeserializeError');
            $self->{offset} += length($line) + 1;
            if (ref $found ne 'ARRAY' && OmneLog::Event::is_blank($line)) {
                $self->{blank}++;
            }
            else {
                $report->($found);
            }
        }
        substr $rest, 0, $from, '';
    }
}

sub _shrunk {
    my ($self) = @_;
    $! = EIO;
    OmneLog::Error->refused('final lines were cut off', $self->{path});
}

# Return the event in a line, or the fault with its path, line number and offset.
sub _decode {
    my ($self, $line, $kind) = @_;
    my $event = eval { OmneLog::Event::decode($line) };
    return $event if $event;
    my $error = $@;
    return bless {
        %$error,
        kind    => $kind,
        message => "$self->{path}:$self->{line}: $error->{reason}",
        path    => $self->{path},
        line    => $self->{line},
        offset  => $self->{offset},
    }, ref $error;
}

1;
