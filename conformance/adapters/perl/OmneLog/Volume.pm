# SPDX-License-Identifier: MIT
package OmneLog::Volume;

# Chapter 2 of SPEC.md: the paths of a volume, the names that are run ids, and the runs of a volume.
# A root is bytes, as the system wants it; a run id is text.

use strict;
use warnings;
no warnings qw(surrogate nonchar non_unicode);
use Cwd ();
use Errno qw(EEXIST ENOENT);
use OmneLog::Error;
use OmneLog::Json;

# Return a run id or node id as bytes. The argument is a JSON value, because values other than
# strings must be refused (VOL-5).
sub component {
    my ($value) = @_;
    my $name = ref $value && $value->[0] eq 's' ? $value->[1] : undef;
    OmneLog::Error->throw('InvalidRunId', 'not one plain path component') unless _plain($name);
    utf8::encode($name);
    return $name;
}

sub _plain {
    my ($name) = @_;
    return
           defined $name
        && $name !~ /\A\.{0,2}\z/
        && $name !~ m{[/\\\x00\x{D800}-\x{DFFF}]}
        && $name !~ /\A.:/s;
}

sub runs_dir { return "$_[0]/.omne/var/runs" }
sub run_dir  { return runs_dir($_[0]) . '/' . component($_[1]) }
sub log_path { return run_dir(@_) . '/events.jsonl' }

# Return all paths of the table in SPEC.md, by their names.
sub paths {
    my ($root, $run_id, $node_id) = @_;
    my $run = run_dir($root, $run_id);
    return (
        omne_dir               => "$root/.omne",
        var_dir                => "$root/.omne/var",
        runs_dir               => runs_dir($root),
        run_dir                => $run,
        events_log_path        => "$run/events.jsonl",
        nodes_dir              => "$run/nodes",
        ulid_lock_path         => "$root/.omne/var/.ulid-last",
        node_capture_wire_path => '.omne/var/runs/' . component($run_id) . '/nodes/' . component($node_id) . '.out',
    );
}

# Return the nearest directory, from this one upwards, that has a directory .omne, or undef.
sub find_root {
    my ($start) = @_;
    my $here = Cwd::realpath($start);
    while (defined $here) {
        return $here if -d "$here/.omne";
        last if $here eq '/';
        $here =~ s{/[^/]*\z}{};
        $here = '/' if $here eq '';
    }
    return undef;
}

sub run_exists { return -d run_dir(@_) ? 1 : 0 }

# Return the names of all runs, in bytes and sorted. In UTF-8 that is by code point (VOL-18).
sub enumerate_runs {
    my ($root) = @_;
    my $runs = runs_dir($root);
    if (!opendir my $directory, $runs) {
        return if $! == ENOENT;
        OmneLog::Error->refused('cannot list the runs', $runs);
    }
    else {
        my @names;
        while (1) {
            $! = 0;
            my $name = readdir $directory;
            last unless defined $name;
            push @names, $name;
        }
        OmneLog::Error->refused('cannot list the runs', $runs) if $! != 0;    # VOL-20
        return sort grep { _plain(OmneLog::Json::characters($_)) && -d "$runs/$_" } @names;
    }
}

# Create a directory and those above it, if they are missing (VOL-12).
sub make_directories {
    my ($path) = @_;
    return if -d $path || mkdir($path) || $! == EEXIST && -d $path;
    OmneLog::Error->refused('cannot be made', $path) if $! != ENOENT || $path !~ m{\A(.+)/[^/]+\z}s;
    make_directories($1);
    mkdir($path) || $! == EEXIST || OmneLog::Error->refused('cannot be made', $path);
}

1;
