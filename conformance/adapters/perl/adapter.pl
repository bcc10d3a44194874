#!/usr/bin/env perl
# SPDX-License-Identifier: MIT

# An implementation of SPEC.md in Perl 5, as an adapter that speaks ../../PROTOCOL.md, version 1. It
# uses only core modules. It was written from SPEC.md and shares no code with anything else here.

use strict;
use warnings;
no warnings qw(surrogate nonchar non_unicode);
use FindBin;
use lib $FindBin::Bin;
use MIME::Base64 qw(decode_base64 encode_base64);
use OmneLog::Appender;
use OmneLog::Error;
use OmneLog::Event;
use OmneLog::File;
use OmneLog::Json;
use OmneLog::Reader;
use OmneLog::Ulid;
use OmneLog::Volume;

my (%logs, %followed, $held);
my %OPS = (
    hello     => \&hello,
    encode    => sub { (line => encode_base64(OmneLog::Event::encode(asked('event')), '')) },
    decode    => sub { (event => OmneLog::Event::decode(decode_base64(text('line')))) },
    append    => sub { kept()->append(@{asked('events')->[1]}); () },
    repair    => sub { kept()->repair; () },
    close     => sub { kept()->close; delete $logs{identity()}; () },
    read      => sub { (events => [a => [OmneLog::Reader::read_run(log_path())]]) },
    scan      => \&scan,
    follow    => \&follow,
    enumerate => sub { (runs => [a => [map { characters($_) } OmneLog::Volume::enumerate_runs(bytes('root'))]]) },
    exists    => sub { (exists => truth(OmneLog::Volume::run_exists(bytes('root'), asked('run_id')))) },
    hold_lock => \&hold_lock,
    release   => sub { $held->close; undef $held; () },
    paths     => \&paths,
    find_root => \&find_root,
    ulid      => \&ulid,
    quit      => sub { () },
);
my $request;

binmode $_ for \*STDIN, \*STDOUT;
$| = 1;
while (my $line = <STDIN>) {
    {
        local $OmneLog::Json::LONE_SURROGATES = 1;
        local $OmneLog::Json::DEPTH           = 1000;
        $request = OmneLog::Json::parse($line);
    }
    my $op       = text('op');
    my $response = eval { [o => [ok => truth(1), answer($op)]] };
    $response //= [o => [ok => truth(0), error => reported($@)]];
    my $spelt = OmneLog::Json::spell($response) . "\n";
    utf8::encode($spelt);
    print $spelt;
    last if $op eq 'quit';
}

sub answer {
    my ($op) = @_;
    my $do = $OPS{$op} or OmneLog::Error->throw('Unsupported', "no op $op");
    return $do->();
}

sub hello {
    my @optional = qw(close durable find_root follow paths repair scan ulid);
    return (name => 'perl', version => '1.0', protocol => [n => 1], capabilities => [a => \@optional]);
}

sub scan {
    my $scan = OmneLog::Reader::scan_run(log_path());
    return (
        events         => [a => $scan->{events}],
        problems       => [a => [map { reported($_) } @{$scan->{problems}}]],
        blank_lines    => [n => $scan->{blank_lines}],
        tail_in_flight => truth($scan->{tail_in_flight}),
    );
}

sub follow {
    my $path = log_path();
    my $follower = $followed{$path} //= OmneLog::Reader->follower($path);
    my @events = eval { $follower->next_events(asked('events')->[1]) };
    return (events => [a => \@events]) if @events;
    delete $followed{$path};
    die $@;
}

sub hold_lock {
    my $directory = OmneLog::Volume::run_dir(bytes('root'), asked('run_id'));
    OmneLog::Volume::make_directories($directory);
    $held = OmneLog::File->for_appending("$directory/events.jsonl");
    $held->lock(OmneLog::File::now(), timeout());
    return ();
}

sub paths {
    my @paths = OmneLog::Volume::paths(bytes('root'), asked('run_id'), asked('node_id'));
    return (paths => [o => [map { characters($_) } @paths]]);
}

sub find_root {
    my $root = OmneLog::Volume::find_root(bytes('start'));
    return (root => defined $root ? characters($root) : [l => 'null']);
}

sub ulid {
    OmneLog::Appender::checked_timeout(timeout());
    return (ulid => OmneLog::Ulid::allocate(bytes('root'), timeout()));
}

# Return the handle of the request. It is opened by the first request with the same values.
sub kept {
    return $logs{identity()} //= OmneLog::Appender->new(
        bytes('root'), asked('run_id'), timeout(), flag('durable'),
    );
}

sub identity {
    return join "\0", map { OmneLog::Json::spell(asked($_) // [l => 'null']) } qw(root run_id lock_timeout durable);
}

# The members of the request.
sub asked { return OmneLog::Json::member($request, $_[0]) }
sub text  { return asked($_[0])->[1] }
sub flag  { return (asked($_[0]) // [l => 'false'])->[1] eq 'true' }

sub bytes {
    my $text = text($_[0]);
    utf8::encode($text);
    return $text;
}

sub log_path { return OmneLog::Volume::log_path(bytes('root'), asked('run_id')) }

sub timeout {
    my $value = asked('lock_timeout') or return 5;
    my %words = (infinity => 9**9**9, nan => -sin(9**9**9));
    return $words{$value->[1]} // $value->[1] + 0;
}

# The values of the response.
sub truth      { return [l => $_[0] ? 'true' : 'false'] }
sub characters { my ($bytes) = @_; utf8::decode($bytes); return $bytes }

sub reported {
    my ($error) = @_;
    die $error unless ref $error;    # a bug in this program: let it end with a message
    my @reported = (kind => $error->{kind}, message => characters($error->{message}));
    push @reported, path => characters($error->{path}) if defined $error->{path};
    for my $name (qw(appended line offset waited_s holder_pid)) {
        push @reported, $name => [n => $error->{$name}] if defined $error->{$name};
    }
    return [o => \@reported];
}
