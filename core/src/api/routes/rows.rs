//! The parts that a row of the table becomes: a [`Route`](super::Route), and a variant of each state that its requests can be in. So
//! a new endpoint needs no dispatch of its own.

macro_rules! routes {
    (
        public { $($name:ident: $($method:ident)|+ $path:literal => $endpoint:ty, $authentication:ident, $errors:ident;)+ }
        admin { $($verb:ident $place:literal => $operation:ty;)+ }
    ) => {
        /// Every route.
        pub const ROUTES: &[Route] = &[$(Route {
            methods: &[$(stringify!($method)),+],
            path: $path,
            authentication: Authentication::$authentication,
            errors: ErrorFormat::$errors,
            roles: Roles::NONE,
            description: &<$endpoint as Endpoint>::DESCRIPTION,
            fixed: fixed_length($path),
            begin: Flow::<$endpoint>::begin,
        },)+ $(Route {
            methods: &[stringify!($verb)],
            path: $place,
            authentication: Authentication::Administrator,
            errors: ErrorFormat::Simple,
            roles: <$operation as AdminEndpoint>::ROLES,
            description: &<$operation as AdminEndpoint>::DESCRIPTION,
            fixed: fixed_length($place),
            begin: admin::begin::<$operation>,
        },)+];

        $(impl AtPath for $endpoint {
            const PATH: &'static str = $path;
        })+

        requests! { $($name: $endpoint;)+ Administered: Administered; }
    };
}

/// The requests to those routes, as far as they have been parsed: those to administer are of one type.
macro_rules! requests {
    ($($name:ident: $request:ty;)+) => {
        /// The requests that wait for records.
        #[derive(Debug)]
        #[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
        pub(crate) enum AwaitRecords { $($name($request)),+ }

        /// The requests that wait for a commit.
        #[derive(Debug)]
        #[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
        pub(crate) enum AwaitCommit {
            $($name($request, <$request as ParsedRequest>::Pending),)+
            /// The record of a refusal. This is the reply, whatever the outcome.
            Record(Reply),
            /// The use of a client's assertion. This is the reply once it is durable.
            UseAssertion(Box<Query>, AwaitRecords, Reply),
        }

        /// The requests that wait for a hash.
        #[derive(Debug)]
        #[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
        pub(crate) enum AwaitHash { $($name($request, <$request as ParsedRequest>::Hash)),+ }

        $(impl Routed for $request {
            fn await_records(self) -> AwaitRecords {
                AwaitRecords::$name(self)
            }

            fn await_commit(self, pending: Self::Pending) -> AwaitCommit {
                AwaitCommit::$name(self, pending)
            }

            fn await_hash(self, hash: Self::Hash) -> AwaitHash {
                AwaitHash::$name(self, hash)
            }
        })+

        impl Flow<AwaitRecords> {
            pub(crate) fn resume_any(self, engine: &Engine, found: Found) -> Step {
                if engine.generation() < found.generation {
                    return self.reply(self.ctx.unavailable());
                }
                let Self { ctx, conflicts, guesses, used, state } = self;
                match state {
                    $(AwaitRecords::$name(state) => Flow { ctx, conflicts, guesses, used, state }.resume(engine, found),)+
                }
            }

            /// Takes the answer to a task.
            pub(crate) fn take_answer(mut self, answer: TaskAnswer) -> Self {
                match &mut self.state {
                    $(AwaitRecords::$name(state) => state.take_answer(answer),)+
                }
                self
            }
        }

        impl Flow<AwaitCommit> {
            pub(crate) fn settle_any(self, engine: &Engine, outcome: Outcome) -> Step {
                let Self { ctx, conflicts, guesses, used, state } = self;
                match state {
                    $(AwaitCommit::$name(state, pending) => {
                        Flow { ctx, conflicts, guesses, used, state }.settle(pending, engine, outcome)
                    })+
                    AwaitCommit::Record(reply) => Flow { ctx, conflicts, guesses, used, state: () }.reply(reply),
                    AwaitCommit::UseAssertion(query, state, reply) => {
                        Flow { ctx, conflicts, guesses, used, state }.settle_assertion(*query, reply, outcome)
                    }
                }
            }
        }

        impl Flow<AwaitHash> {
            pub(crate) fn run_any(self, state_epoch: u64, workspace: &mut Workspace, engine: &Engine) -> Step {
                let Self { ctx, conflicts, guesses, used, state } = self;
                match state {
                    $(AwaitHash::$name(state, hash) => {
                        Flow { ctx, conflicts, guesses, used, state }.run(hash, state_epoch, workspace, engine)
                    })+
                }
            }
        }
    };
}

pub(super) use {requests, routes};
