//! Where there is no Unix: the same names with nothing behind them. `Python::interpreter` gives the
//! reason before any of this is reached.

pub mod pool {
    use crate::domain::action::FuncAction;
    use crate::domain::run::Outcome;
    use crate::exec::Context;
    use crate::exec::func::python::Settings;
    use crate::exec::func::python::catalog::{Function, Generation};
    use crate::exec::output::Output;
    use std::pin::Pin;
    use std::process::ExitStatus;
    use std::sync::Arc;

    #[derive(Debug)]
    pub enum Ended {
        Died(Option<ExitStatus>),
        NotStarted(std::io::Error),
        Stopped(Outcome),
        Waited(Outcome),
    }

    #[derive(Debug, Default)]
    pub struct Pool(Arc<Generation>);

    impl Pool {
        pub fn new(_: usize) -> Self {
            Self::default()
        }

        pub fn current(&self) -> Arc<Generation> {
            self.0.clone()
        }

        pub fn install(&self, _: Generation) {}

        pub async fn close(&self) {}

        pub async fn call(
            &self,
            _: (Arc<Generation>, Function),
            _: &FuncAction,
            _: &Context,
            _: &Settings,
            _: Pin<&mut impl Future<Output = Outcome>>,
            _: &mut Output,
        ) -> Ended {
            Ended::NotStarted(std::io::ErrorKind::Unsupported.into())
        }
    }
}

pub mod scan {
    use crate::exec::func::python::Settings;
    use crate::exec::func::python::catalog::{Failure, Loaded, Source};
    use std::path::Path;

    pub async fn scan(_: &Path, _: &[Source], _: &Settings) -> (Vec<Loaded>, Vec<Failure>) {
        (Vec::new(), Vec::new())
    }
}
