# SPDX-License-Identifier: MIT
package OmneLog::Event;

# Chapters 3 to 5 of SPEC.md: the events, the line that is written, and the lines that are accepted.
# An event is a JSON object with its members in the order of the table, without members that do not
# have a value.

use strict;
use warnings;
no warnings qw(surrogate nonchar non_unicode);
use OmneLog::Error;
use OmneLog::Json;

my @EVERY = (id => 'string', ts => 'string', run_id => 'string');
my @NODE  = (@EVERY, node_id => 'string');
my %MEMBERS = (
    'pipe.started' => [@EVERY, pipe => 'string', inputs => ['Input'], distro_version => 'string'],
    'pipe.completed'    => [@EVERY],
    'pipe.aborted'      => [@EVERY, reason => 'string'],
    'node.started'      => [@NODE, kind => 'NodeKind', 'name?' => 'string', 'model?' => 'string'],
    'node.completed'    => [@NODE, output_path => 'string'],
    'node.failed'       => [@NODE, error => 'NodeError', 'message?' => 'string'],
    'gate.passed'       => [@NODE, gate => 'string', method => 'GateMethod'],
    'iteration.started' => [@NODE, iteration => '4294967295', byte_offset => '18446744073709551615'],
    Input               => [key  => 'string', value => 'string'],
    NodeError           => [kind => 'ErrorKind'],
);
my %LISTS = (
    NodeKind   => [qw(command prompt bash loop)],
    ErrorKind  => [qw(crash timeout gate_failed blocked max_iterations_exceeded host_missing)],
    GateMethod => [qw(hook human_cli mcp_tool)],
);

# Whether the event is to be written, so that unknown members are refused (LINE-14).
our $TO_BE_WRITTEN = 0;

# Return the canonical line of an event, in bytes, with its newline. Dies with SerializeError.
sub encode {
    my ($event) = @_;
    local $TO_BE_WRITTEN = 1;
    my $whole = eval { _event($event) };
    if (!$whole) {
        chomp(my $reason = $@);
        OmneLog::Error->throw('SerializeError', $reason);
    }
    my $line = OmneLog::Json::spell($whole) . "\n";
    utf8::encode($line);
    return $line;
}

# Return the event in a line, which may lack its newline. Dies with DeserializeError.
sub decode {
    my ($line) = @_;
    $line =~ s/\n\z//;
    my $event = eval {
        die "a newline inside the line\n" if index($line, "\n") >= 0;    # ACC-2
        _event(OmneLog::Json::parse($line));
    };
    if (!$event) {
        chomp(my $reason = $@);
        OmneLog::Error->throw('DeserializeError', $reason, reason => $reason);
    }
    return $event;
}

# Return whether a line has only white space, as Unicode defines it.
sub is_blank {
    my ($line) = @_;
    my $text = OmneLog::Json::characters($line);
    return defined $text
        && $text !~ /[^\x09-\x0D\x20\x85\xA0\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000}]/;
}

# Return the event in an object, with its members in the order of the table. Dies with a reason.
sub _event {
    my ($object) = @_;
    die "not an object\n" if $object->[0] ne 'o';
    my $type = OmneLog::Json::member($object, 'type');
    die "type: missing or not a string\n" if !$type || $type->[0] ne 's';
    die "type: not one of the eight\n" if $type->[1] !~ /\./ || !$MEMBERS{$type->[1]};
    my $rest = _members($type->[1], $object, '');
    return [o => [type => $type, @{$rest->[1]}]];
}

sub _members {
    my ($name, $object, $where) = @_;
    die "$where: not an object\n" if $object->[0] ne 'o';
    my %given = @{$object->[1]};
    my @table = @{$MEMBERS{$name}};
    my @found;
    delete $given{type} if $where eq '';
    while (my ($member, $type) = splice @table, 0, 2) {
        my $optional = $member =~ s/\?\z//;
        my $value = delete $given{$member} // [l => 'null'];
        next if $optional && $value->[0] eq 'l' && $value->[1] eq 'null';
        push @found, $member, _fit($type, $value, "$where.$member");
    }
    my ($unknown) = sort keys %given;
    die "$where.$unknown: not a member\n" if $TO_BE_WRITTEN && defined $unknown;    # LINE-14
    return [o => \@found];
}

sub _fit {
    my ($type, $value, $where) = @_;
    my ($kind, $content) = @$value;
    if (ref $type) {
        die "$where: not an array\n" if $kind ne 'a';
        return [a => [map { _members($type->[0], $_, "$where\[]") } @$content]];
    }
    return _members($type, $value, $where) if $MEMBERS{$type};
    if ($type =~ /\A[0-9]/) {
        die "$where: not an integer\n" if $kind ne 'n' || $content !~ /\A(?:0|[1-9][0-9]*)\z/;
        my $fits = length $content <=> length $type || $content cmp $type;
        die "$where: out of its range\n" if $fits > 0;
        return $value;
    }
    die "$where: not a string\n" if $kind ne 's';
    die "$where: a lone surrogate\n" if $content =~ /[\x{D800}-\x{DFFF}]/;
    die "$where: not in its list\n" if $LISTS{$type} && !grep { $_ eq $content } @{$LISTS{$type}};
    return $value;
}

1;
